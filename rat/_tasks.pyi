from rat.tasks import ReferenceSeat as Seat
from rat.tasks import reference_first_step as first_step

__all__ = ["Seat", "first_step"]
