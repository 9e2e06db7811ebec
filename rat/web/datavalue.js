// DataValue messages in JavaScript, from docs/wire-format.md alone: every tag, both profiles.
//
// parse(bytes) gives the tree that Python's parse_data_value(data).tree() gives; decode(bytes) gives plain JavaScript values.  Both refuse what the
// specification refuses, with a DataValueError whose offset is in bytes.

export class DataValueError extends Error {
  constructor(message, offset) {
    super(`${message} at offset ${offset}`);
    this.name = "DataValueError";
    this.offset = offset;
  }
}

/** What JavaScript has no type for: Date, Time, DateTime, TimeDelta, Uuid, Decimal, by name and text. */
export class Scalar {
  constructor(type, text) {
    this.type = type;
    this.text = text;
  }
  toString() {
    return this.text;
  }
}

const MAX_KEYS = 1024;
const MAX_SHAPES = 256;
const MAX_SHAPE_KEYS = 128;
const BLOCK = 16;
const ENDLESS = 0xffffffff;
const SHOWN_ITEMS = 512;
const DTYPES = [
  ["?", 1, (view, at) => view.getUint8(at) !== 0],
  ["b", 1, (view, at) => view.getInt8(at)],
  ["B", 1, (view, at) => view.getUint8(at)],
  ["h", 2, (view, at) => view.getInt16(at, true)],
  ["H", 2, (view, at) => view.getUint16(at, true)],
  ["i", 4, (view, at) => view.getInt32(at, true)],
  ["I", 4, (view, at) => view.getUint32(at, true)],
  ["q", 8, (view, at) => narrow(view.getBigInt64(at, true))],
  ["Q", 8, (view, at) => narrow(view.getBigUint64(at, true))],
  ["f", 4, (view, at) => view.getFloat32(at, true)],
  ["d", 8, (view, at) => view.getFloat64(at, true)],
];
const PACKED = { 32: ["Float", "packed f64", 10], 33: ["Int", "packed ints", 1], 34: ["Int", "packed ints", 3],
                 35: ["Int", "packed ints", 5], 36: ["Int", "packed ints", 7] };
const UNSIGNED = [2, 4, 6, 8];
const CONTAINERS = new Set(["List", "Map", "Tuple", "Set", "FrozenSet"]);
const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** A number where it is exact, else the bigint. */
function narrow(value) {
  return value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : value;
}

/** Thrown without an offset: whoever read the tag adds it. */
class Malformed extends Error {}

const pad = (number, size = 2) => String(number).padStart(size, "0");

class Reader {
  constructor(bytes, { profile = "full", maxDepth = 64 } = {}) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.pos = 0;
    this.bincode = profile === "bincode";
    this.maxDepth = maxDepth;
    this.keys = [];
    this.shapes = [];
    this.setStart = null;
  }

  message() {
    if (!this.bincode && this.bytes[0] === 48) this.pos = 1;
    const node = this.node(0);
    if (this.pos !== this.bytes.length) throw new DataValueError(`${this.bytes.length - this.pos} bytes after the value`, this.pos);
    return node;
  }

  /** The value at pos as {type, form, offset, size, value | children}; what is not JSON stays in `raw`. */
  node(depth) {
    const offset = this.pos;
    try {
      const node = this.form(this.tag(), depth, offset);
      node.offset = offset;
      node.size = this.pos - offset;
      return node;
    } catch (error) {
      throw error instanceof Malformed ? new DataValueError(error.message, offset) : error;
    }
  }

  // --- parts

  take(size) {
    const start = this.pos;
    if (size > this.bytes.length - start) throw new Malformed(`${size} bytes claimed, ${this.bytes.length - start} left`);
    this.pos = start + Number(size);
    return start;
  }

  byte() {
    return this.bytes[this.take(1)];
  }

  u32() {
    return this.view.getUint32(this.take(4), true);
  }

  content(size) {
    const start = this.take(size);
    return this.bytes.subarray(start, this.pos);
  }

  /** A varint as bigint; number() for those that count bytes or items, which never pass what a number can say. */
  varint() {
    const first = this.byte();
    if (first <= 250) return BigInt(first);
    if (first === 251) return BigInt(this.view.getUint16(this.take(2), true));
    if (first === 252) return BigInt(this.u32());
    if (first === 253) return this.view.getBigUint64(this.take(8), true);
    throw new Malformed(`varint that begins with ${first}`);
  }

  number() {
    const value = this.varint();
    return value > 0xffffffffffffn ? Number.MAX_SAFE_INTEGER : Number(value);
  }

  count(size = 1) {
    const count = this.number();
    this.need(count * size);
    return count;
  }

  need(size) {
    const left = this.bytes.length - this.pos;
    if (size > left) throw new Malformed(`items of ${size} bytes claimed, ${left} left`);
  }

  tag() {
    if (this.pos >= this.bytes.length) throw new Malformed("the input ends where a value must stand");
    if (this.bytes[this.pos] < 251 && !this.bincode) return this.byte();
    const tag = this.number();
    if (tag > 7) throw new Malformed(`tag ${tag}, where a bincode tag of 0 to 7 must stand`);
    return tag;
  }

  text(size) {
    const content = this.content(size);
    try {
      return UTF8.decode(content);
    } catch {
      throw new Malformed("str that is no UTF-8");
    }
  }

  ascii(size) {
    const content = this.content(size);
    if (content.some((byte) => byte > 127)) throw new Malformed("short str that is no ASCII");
    return UTF8.decode(content);
  }

  /** What read() gives, with the offset of the key if it fails. */
  key(read) {
    const offset = this.pos;
    try {
      return read();
    } catch (error) {
      throw error instanceof Malformed ? new DataValueError(error.message, offset) : error;
    }
  }

  open(depth, kind) {
    if (depth >= this.maxDepth) throw new Malformed(`deeper than ${this.maxDepth} levels`);
    if (this.setStart !== null && kind !== "Tuple" && kind !== "FrozenSet") throw new Malformed(`${kind} inside a set`);
  }

  // --- forms

  form(tag, depth, offset) {
    if (tag >= 64 && tag < 128) return { type: "String", form: "short ascii", value: this.ascii(tag - 64) };
    if (tag >= 128 && tag < 192) return { type: "Int", form: "small int", value: tag - 128 };
    if (tag >= 192 && tag < 224) return this.items("List", "short list", tag - 192, depth);
    if (tag >= 224 && tag < 250) return this.keyed("short map", tag - 224, depth);
    if (tag >= 50 && tag < 64) return this.shaped(tag, depth);
    if (tag >= 10 && tag < 18) return this.fixedInt(tag);
    if (tag >= 32 && tag < 37) return this.packed(tag, depth);
    switch (tag) {
      case 0: return { type: "None", form: "none", value: null };
      case 1: return { type: "Bool", form: "bool", value: this.bool() };
      case 2: {
        const zigzag = this.varint();
        return { type: "Int", form: "zigzag varint", value: narrow(zigzag & 1n ? -(zigzag >> 1n) - 1n : zigzag >> 1n) };
      }
      case 3: return { type: "Float", form: "f64", value: this.view.getFloat64(this.take(8), true) };
      case 4: return { type: "String", form: "utf-8", value: this.text(this.number()) };
      case 5: return { type: "Bytes", form: "bytes", value: this.content(this.number()) };
      case 6: return this.items("List", "list", this.count(), depth);
      case 7: return this.plainDict(depth);
      case 8: case 9: return { type: "Bool", form: "one-byte bool", value: tag === 9 };
      case 18: return { type: "Int", form: "big int", value: this.bigInt() };
      case 19:
        if (this.setStart !== null) throw new Malformed("bytearray inside a set");
        return { type: "ByteArray", form: "bytearray", value: this.content(this.number()) };
      case 20: return this.moment("Date", "date", this.date());
      case 21: return this.moment("Time", "naive time", this.time());
      case 22: return this.moment("DateTime", "naive datetime", `${this.date()}T${this.time()}`);
      case 23: return this.moment("TimeDelta", "timedelta", this.timedelta());
      case 24: return this.moment("Time", "aware time", this.time() + this.zone());
      case 25: return this.moment("DateTime", "aware datetime", `${this.date()}T${this.time()}${this.zone()}`);
      case 26: return this.moment("Uuid", "uuid", hex(this.content(16)).replace(/(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-"));
      case 27: return this.moment("Decimal", "decimal text", this.decimal());
      case 28: return this.items("Tuple", "tuple", this.count(), depth);
      case 29: return this.set("Set", "set", depth, offset);
      case 30: return this.set("FrozenSet", "frozenset", depth, offset);
      case 31: return this.array();
      case 37: return this.asciiList(depth);
      case 38: return this.indexedList(depth);
      case 44: return this.openList(depth);
      case 45: return this.openDict(depth);
      case 46: return { type: "Bytes", form: "chunked bytes", value: this.chunks() };
      case 49: {
        const count = this.byte();
        if (count < 1 || count > MAX_SHAPE_KEYS) throw new Malformed(`dict of ${count} keys, where 1 to ${MAX_SHAPE_KEYS} can stand`);
        return this.keyed("wide map", count, depth);
      }
      default: throw new Malformed(`tag ${tag}, which begins no value`);
    }
  }

  bool() {
    const byte = this.byte();
    if (byte > 1) throw new Malformed(`bool of ${byte}`);
    return byte === 1;
  }

  fixedInt(tag) {
    const [, size, read] = DTYPES[UNSIGNED[(tag - 10) & 3]];
    const rest = BigInt(read(this.view, this.take(size)));
    if (rest >> 63n) throw new Malformed(`int of 64 bits under tag ${tag}`);
    return tag < 14 ? { type: "Int", form: "unsigned int", value: narrow(rest) }
                    : { type: "Int", form: "negative int", value: narrow(-1n - rest) };
  }

  bigInt() {
    const size = this.number();
    if (size === 0) throw new Malformed("int of 0 bytes");
    const content = this.content(size);
    const value = BigInt(`0x${hex(content.slice().reverse())}`);
    return narrow(BigInt.asIntN(8 * size, value));
  }

  items(type, form, count, depth) {
    this.open(depth, type);
    this.need(count);
    const children = [];
    for (let index = 0; index < count; index += 1) children.push(this.node(depth + 1));
    return { type, form, children };
  }

  set(type, form, depth, offset) {
    this.open(depth, type);
    const around = this.setStart;
    this.setStart = offset;
    const node = this.items("FrozenSet", form, this.count(), depth);
    this.setStart = around;
    return { ...node, type };
  }

  packed(tag, depth) {
    this.open(depth, "List");
    const [type, form, dtype] = PACKED[tag];
    const [, size, read] = DTYPES[dtype];
    const count = this.count(size);
    const children = [];
    for (let index = 0; index < count; index += 1) {
      const offset = this.take(size);
      children.push({ type, form: "packed item", offset, size, value: read(this.view, offset) });
    }
    return { type: "List", form, children };
  }

  asciiList(depth) {
    this.open(depth, "List");
    const sizes = this.content(this.count());
    const children = [];
    for (const size of sizes) {
      const offset = this.pos;
      children.push({ type: "String", form: "packed item", offset, size, value: this.ascii(size) });
    }
    return { type: "List", form: "packed ascii", children };
  }

  indexedList(depth) {
    this.open(depth, "List");
    const count = this.count();
    const size = this.u32();
    const start = this.pos;
    const blocks = size === ENDLESS ? 0 : Math.ceil(count / BLOCK);
    this.need((size === ENDLESS ? count : Math.max(size, count)) + 4 * blocks);
    const children = [];
    const index = [];
    let known = this.keys.length + this.shapes.length;
    for (let done = 1; done <= count; done += 1) {
      children.push(this.node(depth + 1));
      if (done % BLOCK === 0 || done === count) {
        const now = this.keys.length + this.shapes.length;
        index.push(this.pos - start + (now !== known ? 0x80000000 : 0));
        known = now;
      }
    }
    if (size !== ENDLESS) {
      if (this.pos - start !== size) throw new Malformed(`list of ${this.pos - start} bytes that claims ${size}`);
      if (index.some((entry) => this.u32() !== entry)) throw new Malformed("list with an index that does not fit it");
    }
    return { type: "List", form: "indexed list", children };
  }

  openList(depth) {
    this.open(depth, "List");
    const children = [];
    while (!this.closed()) children.push(this.node(depth + 1));
    return { type: "List", form: "open list", children };
  }

  openDict(depth) {
    this.open(depth, "Map");
    const children = [];
    while (!this.closed()) {
      const tag = this.bytes[this.pos];
      if (tag !== undefined && tag !== 4 && !(tag >= 64 && tag < 128)) {
        throw new DataValueError(`key under tag ${tag}, where only str can stand`, this.pos);
      }
      const key = this.node(depth + 1).value;
      children.push({ key, ...this.node(depth + 1) });
    }
    return { type: "Map", form: "open map", children };
  }

  closed() {
    const closed = this.bytes[this.pos] === 47;
    this.pos += closed ? 1 : 0;
    return closed;
  }

  chunks() {
    const parts = [];
    for (let size = this.number(); size; size = this.number()) parts.push(this.content(size));
    const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of parts) {
      whole.set(part, at);
      at += part.length;
    }
    return whole;
  }

  plainDict(depth) {
    this.open(depth, "Map");
    const children = [];
    for (let left = this.count(2); left; left -= 1) {
      const key = this.key(() => this.text(this.number()));
      children.push({ key, ...this.node(depth + 1) });
    }
    return { type: "Map", form: "map", children };
  }

  /** One key slot: [key, whether it stands in the table]. */
  slot() {
    const first = this.byte();
    if (first < 0xc0) {
      const number = first < 0x80 ? first : ((first & 0x3f) << 8) | this.byte();
      if (number >= this.keys.length) throw new Malformed(`key ${number} of ${this.keys.length}`);
      return [this.keys[number], true];
    }
    if (first === 0xff) return [this.text(this.number()), false];
    const key = this.text(first - 0xc0);
    const hasRoom = this.keys.length < MAX_KEYS;
    if (hasRoom) this.keys.push(key);
    return [key, hasRoom];
  }

  keyed(form, count, depth) {
    this.open(depth, "Map");
    const keys = [];
    let inTable = true;
    for (let index = 0; index < count; index += 1) {
      const [key, isKnown] = this.key(() => this.slot());
      keys.push(key);
      inTable &&= isKnown;
    }
    if (new Set(keys).size !== count) throw new Malformed("dict with the same key twice");
    if (count && inTable && this.shapes.length < MAX_SHAPES) this.shapes.push(keys);
    return this.values(form, keys, depth);
  }

  shaped(tag, depth) {
    const number = tag === 50 ? this.byte() : tag - 51;
    if (number >= this.shapes.length) throw new Malformed(`shape ${number} of ${this.shapes.length}`);
    this.open(depth, "Map");
    return this.values("shaped map", this.shapes[number], depth);
  }

  values(form, keys, depth) {
    this.need(keys.length);
    return { type: "Map", form, children: keys.map((key) => ({ key, ...this.node(depth + 1) })) };
  }

  array() {
    if (this.setStart !== null) throw new Malformed("array inside a set");
    const dtype = this.byte();
    const dimensions = this.byte();
    if (dtype >= DTYPES.length) throw new Malformed(`array of dtype ${dtype}`);
    if (dimensions > 32) throw new Malformed(`array of ${dimensions} dimensions, limit 32`);
    const shape = Array.from({ length: dimensions }, () => this.number());
    if (dimensions > 1 && shape.includes(0)) throw new Malformed("array with a dimension of 0 beside another");
    const [format, size, read] = DTYPES[dtype];
    const start = this.take(shape.reduce((product, length) => product * length, size));
    return { type: "Array", form: "typed array", value: { format, shape, size, read, view: this.view, start, end: this.pos } };
  }

  // --- moments and numbers as text

  moment(type, form, text) {
    return { type, form, value: new Scalar(type, text) };
  }

  date() {
    const at = this.take(4);
    const [year, month, day] = [this.view.getUint16(at, true), this.bytes[at + 2], this.bytes[at + 3]];
    const isLeap = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
    const days = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1];
    if (year < 1 || year > 9999 || days === undefined || day < 1 || day > days) throw new Malformed(`date ${year}-${month}-${day}`);
    return `${pad(year, 4)}-${pad(month)}-${pad(day)}`;
  }

  time() {
    const at = this.take(7);
    const [hour, minute, second] = this.bytes.subarray(at, at + 3);
    const microsecond = this.view.getUint32(at + 3, true) & 0x7fffffff;
    if (hour > 23 || minute > 59 || second > 59 || microsecond > 999999) throw new Malformed(`time ${hour}:${minute}:${second}.${microsecond}`);
    return `${pad(hour)}:${pad(minute)}:${pad(second)}${microsecond ? `.${pad(microsecond, 6)}` : ""}`;
  }

  zone() {
    const kind = this.byte();
    if (kind === 0) return "+00:00";
    if (kind > 3) throw new Malformed(`time zone of kind ${kind}`);
    const offset = kind & 1 ? this.view.getBigInt64(this.take(8), true) : null;
    const name = kind >= 2 ? this.text(this.number()) : null;
    if (offset === null) {
      try {
        new Intl.DateTimeFormat("en", { timeZone: name });
      } catch {
        throw new Malformed(`time zone ${name} is not known here`);
      }
      return ` ${name}`;
    }
    const rest = Number(offset < 0n ? -offset : offset);
    if (rest >= 86400e6) throw new Malformed(`time zone with an offset of ${offset} microseconds`);
    const [hours, minutes, seconds, micro] = [Math.floor(rest / 3600e6), Math.floor(rest / 60e6) % 60, Math.floor(rest / 1e6) % 60, rest % 1e6];
    const fine = (seconds || micro ? `:${pad(seconds)}` : "") + (micro ? `.${pad(micro, 6)}` : "");
    return `${offset < 0n ? "-" : "+"}${pad(hours)}:${pad(minutes)}${fine}${name === null ? "" : ` ${name}`}`;
  }

  timedelta() {
    const at = this.take(12);
    const [days, seconds, micro] = [this.view.getInt32(at, true), this.view.getUint32(at + 4, true), this.view.getUint32(at + 8, true)];
    if (seconds >= 86400 || micro >= 1000000 || Math.abs(days) > 999999999) throw new Malformed(`timedelta of ${days} days, ${seconds} seconds, ${micro} microseconds`);
    const clock = `${Math.floor(seconds / 3600)}:${pad(Math.floor(seconds / 60) % 60)}:${pad(seconds % 60)}${micro ? `.${pad(micro, 6)}` : ""}`;
    return days ? `${days} day${Math.abs(days) === 1 ? "" : "s"}, ${clock}` : clock;
  }

  decimal() {
    const text = this.ascii(this.number());
    if (!isPlainDecimal(text)) throw new Malformed("decimal text that is not in its plain form");
    if (this.setStart !== null && /^-?sNaN/.test(text)) throw new DataValueError("signalling NaN in a set", this.setStart);
    return text;
  }
}

/** Whether *text* is what Python's str() gives for the decimal that it says. */
function isPlainDecimal(text) {
  if (/^-?(Infinity|s?NaN([1-9]\d*)?)$/.test(text)) return true;
  const found = /^-?(\d+)(?:\.(\d+))?(?:E([+-])(\d+))?$/.exec(text);
  if (!found) return false;
  const fraction = found[2] ?? "";
  const digits = (found[1] + fraction).replace(/^0+(?=\d)/, "");
  const exponent = BigInt((found[3] === "-" ? "-" : "") + (found[4] ?? "0")) - BigInt(fraction.length);
  const left = exponent + BigInt(digits.length);
  const isPlain = exponent <= 0n && left > -6n;
  const point = isPlain ? Number(left) : 1;
  const whole = point <= 0 ? "0" : digits.slice(0, point);
  const rest = point <= 0 ? "0".repeat(-point) + digits : digits.slice(point);
  const power = left - BigInt(point);
  const scale = isPlain || power === 0n ? "" : `E${power < 0n ? "-" : "+"}${power < 0n ? -power : power}`;
  return text.replace(/^-/, "") === whole + (rest && `.${rest}`) + scale;
}

function hex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** A scalar as JSON can say it, in the words of Python's tree(). */
function shown(type, value) {
  if (typeof value === "bigint") {
    const size = value < 0n ? -value : value;
    const isLong = size.toString(2).length > 2000;
    return isLong ? `${value < 0n ? "-" : ""}0x${size.toString(16)}` : String(value);
  }
  if (typeof value === "number" && !Number.isFinite(value)) return Number.isNaN(value) ? "nan" : value > 0 ? "inf" : "-inf";
  if (value instanceof Uint8Array) return hex(value);
  if (value instanceof Scalar) return value.text;
  if (type === "Array") {
    return { format: value.format, shape: value.shape, items: elements(value, SHOWN_ITEMS).map((item) => shown("", item)) };
  }
  return value;
}

function elements({ size, read, view, start, end }, most = Infinity) {
  const items = [];
  for (let at = start; at < end && items.length < most; at += size) items.push(read(view, at));
  return items;
}

function tree(node) {
  const { key, type, form, offset, size } = node;
  const said = { ...(key === undefined ? {} : { key }), type, form, offset, size };
  return CONTAINERS.has(type) ? { ...said, children: node.children.map(tree) } : { ...said, value: shown(type, node.value) };
}

function plain({ type, value, children }) {
  switch (type) {
    case "List": case "Tuple": return children.map(plain);
    case "Set": case "FrozenSet": return new Set(children.map(plain));
    case "Map": return new Map(children.map((child) => [child.key, plain(child)]));
    case "Bytes": case "ByteArray": return value.slice();
    case "Array": return { format: value.format, shape: value.shape, items: elements(value) };
    default: return value;
  }
}

/** The message as a tree of {key, type, form, offset, size, value | children} that JSON can say. */
export function parse(bytes, options) {
  return tree(new Reader(bytes, options).message());
}

/**
 * The message as JavaScript values: Map for dicts (the order is kept), Array for lists and tuples, Set, Uint8Array, number, bigint where a number is
 * not exact, {format, shape, items} for typed arrays, Scalar for the rest.
 */
export function decode(bytes, options) {
  return plain(new Reader(bytes, options).message());
}
