#!/bin/sh
# Builds what is in C with AddressSanitizer and UBSan, in a place of its own, and runs its tests on it.
#   tools/sanitize.sh [PYTEST ARGUMENTS]        PYTHON=... chooses the interpreter, CC=gcc the compiler
# The leak checker stays off: CPython itself leaves memory behind on purpose.  tests/codec/test_native_memory.py counts.
set -eu
cd "$(dirname "$0")/.."
: "${PYTHON:=.venv/bin/python}" "${CC:=gcc}"
export CC
place=build/sanitize
rm -rf "$place"
mkdir -p "$place"
CFLAGS="-O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined ${CFLAGS:-}" \
LDFLAGS="-fsanitize=address,undefined" RAT_SANITIZE=1 RAT_MUST_BUILD=1 \
    "$PYTHON" setup.py -q build_ext --build-lib "$place" --build-temp "$place/temp" >"$place/log" 2>&1 || { cat "$place/log"; exit 1; }
# The Python files beside the sanitized extensions: what is imported is this tree, not the work tree's own build.
cp -r rat "$place/tree"
find "$place/tree" -name '*.so' -delete
cp -r "$place/rat/." "$place/tree/"
mkdir -p "$place/root"
mv "$place/tree" "$place/root/rat"
cp -r tests tools docs pyproject.toml setup.py "$place/root/"
case $# in 0) set -- tests/codec tests/http1/test_lane_native.py tests/http1/test_engine_native.py tests/http1/test_fastlane.py tests/shell/test_tasks.py \
    tests/app/test_messages_native.py tests/app/test_responses.py ;; esac
python=$("$PYTHON" -c 'import os, sys; print(os.path.abspath(sys.executable))')
cd "$place/root"
PYTHONPATH=$PWD PYTHONMALLOC=malloc RAT_CODEC=native RAT_LANE=native RAT_TASKS=native RAT_MESSAGES=native \
LD_PRELOAD="$("$CC" -print-file-name=libasan.so) $("$CC" -print-file-name=libubsan.so)" \
ASAN_OPTIONS=detect_leaks=0:abort_on_error=1:allocator_may_return_null=1 UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 \
    "$python" -m pytest -p no:cacheprovider -q -k "not hash_seed and not public_api_alone" "$@"
