// A peer for DataValue frames in plain JavaScript: docs/frames.md in the `bincode` profile, without tables.
//     node examples/datavalue_peer.mjs PORT        calls what examples/datavalue_tcp.py serves, and prints it as JSON
import net from "node:net";
import { pathToFileURL } from "node:url";

const KIND = { HELLO: 1, CALL: 2, RESULT: 3, ITEM: 4, END: 5, ERROR: 6, CANCEL: 7, CREDIT: 8, DATA: 9, PING: 10, PONG: 11, GOAWAY: 12 };
const MORE = 4, OPEN = 8, WINDOW = 65536, NONE = Buffer.alloc(0);

// -- values: tags 0-7 of docs/wire-format.md, little-endian

function varint(number) {
  const n = BigInt(number), [tag, size] = n < 251n ? [0, 0] : n < 1n << 16n ? [251, 2] : n < 1n << 32n ? [252, 4] : [253, 8];
  if (!size) return Buffer.from([Number(n)]);
  const bytes = Buffer.alloc(9);
  bytes[0] = tag;
  bytes.writeBigUInt64LE(n, 1);
  return bytes.subarray(0, 1 + size);
}

function text(value) {
  const bytes = Buffer.from(value, "utf8");
  return Buffer.concat([varint(bytes.length), bytes]);
}

export function encode(value) {
  if (value === null || value === undefined) return Buffer.from([0]);
  if (typeof value === "boolean") return Buffer.from([1, value ? 1 : 0]);
  if (typeof value === "bigint" || Number.isSafeInteger(value)) {
    const n = BigInt(value);
    return Buffer.concat([Buffer.from([2]), varint(n >= 0n ? n << 1n : (-n << 1n) - 1n)]);
  }
  if (typeof value === "number") {
    const bytes = Buffer.alloc(9, 3);
    bytes.writeDoubleLE(value, 1);
    return bytes;
  }
  if (typeof value === "string") return Buffer.concat([Buffer.from([4]), text(value)]);
  if (value instanceof Uint8Array) return Buffer.concat([Buffer.from([5]), varint(value.length), value]);
  if (Array.isArray(value)) return Buffer.concat([Buffer.from([6]), varint(value.length), ...value.map(encode)]);
  const entries = Object.entries(value);
  return Buffer.concat([Buffer.from([7]), varint(entries.length), ...entries.flatMap(([key, item]) => [text(key), encode(item)])]);
}

export function decode(bytes) {
  let at = 0;
  const take = (count) => {
    if (count > bytes.length - at) throw new Error(`${count} bytes wanted at ${at}, ${bytes.length - at} left`);
    return bytes.subarray(at, (at += count));
  };
  const number = () => {
    const [first] = take(1), size = { 251: 2, 252: 4, 253: 8 }[first] ?? 0;
    if (first > 253) throw new Error(`varint of kind ${first}`);
    return size === 0 ? BigInt(first) : size === 8 ? take(8).readBigUInt64LE() : BigInt(take(size).readUIntLE(0, size));
  };
  const count = () => {
    const claimed = number();
    if (claimed > bytes.length - at) throw new Error(`${claimed} claimed at ${at}, ${bytes.length - at} bytes left`);
    return Number(claimed);
  };
  const value = (depth) => {
    if (depth > 64) throw new Error("more than 64 levels");
    const tag = Number(number());
    if (tag === 0) return null;
    if (tag === 1) return take(1)[0] === 1;
    if (tag === 2) {
      const zigzag = number(), n = zigzag & 1n ? -(zigzag >> 1n) - 1n : zigzag >> 1n;
      return Number.isSafeInteger(Number(n)) ? Number(n) : n;
    }
    if (tag === 3) return take(8).readDoubleLE();
    if (tag === 4) return take(count()).toString("utf8");
    if (tag === 5) return Buffer.from(take(count()));
    if (tag === 6) return Array.from({ length: count() }, () => value(depth + 1));
    if (tag === 7) return Object.fromEntries(Array.from({ length: count() }, () => [take(count()).toString("utf8"), value(depth + 1)]));
    throw new Error(`tag ${tag} is not of the bincode profile`);
  };
  const result = value(1);
  if (at !== bytes.length) throw new Error(`${bytes.length - at} bytes after the value`);
  return result;
}

// -- frames, big-endian

export class Peer {
  #socket; #buffer = NONE; #calls = new Map(); #next = 1; #pieces = []; #hello; #server;

  static async connect(port, host = "127.0.0.1") {
    const peer = new Peer();
    peer.#socket = net.connect(port, host);
    const hello = new Promise((resolve, reject) => (peer.#hello = { resolve, reject }));
    peer.#socket.on("data", (data) => peer.#receive(data));
    for (const event of ["error", "close"]) peer.#socket.on(event, (why) => peer.#fail(why instanceof Error ? why : new Error("closed")));
    peer.#send(KIND.HELLO, 0, 0, encode({ version: 1, profile: "bincode", credit: WINDOW }));
    peer.#server = { frame: 1 << 20, ...(await hello) };
    return peer;
  }

  #send(kind, flags, stream, payload = NONE) {
    const header = Buffer.alloc(12);
    header.writeUInt32BE(8 + payload.length);
    header[4] = kind;
    header[5] = flags;
    header.writeUInt32BE(stream, 8);
    return this.#socket.write(Buffer.concat([header, payload]));
  }

  #receive(data) {
    this.#buffer = this.#buffer.length ? Buffer.concat([this.#buffer, data]) : data;
    while (this.#buffer.length >= 4) {
      const length = this.#buffer.readUInt32BE();
      if (length < 8 || length > (1 << 20) + 8) return this.#fail(new Error(`frame of ${length} bytes`));
      if (this.#buffer.length < 4 + length) return;
      const frame = this.#buffer.subarray(4, 4 + length);
      this.#buffer = this.#buffer.subarray(4 + length);
      this.#frame(frame[0], frame[1], frame.readUInt32BE(4), frame.subarray(8));
    }
  }

  #frame(kind, flags, stream, payload) {
    if (flags & MORE) return this.#pieces.push(payload);
    if (this.#pieces.length && [KIND.RESULT, KIND.ITEM].includes(kind)) payload = Buffer.concat([...this.#pieces.splice(0), payload]);
    const call = this.#calls.get(stream);
    if (kind === KIND.HELLO) this.#hello.resolve(decode(payload));
    else if (kind === KIND.PING) this.#send(KIND.PONG, 0, 0, payload);
    else if (kind === KIND.GOAWAY) this.#fail(new Error(`the server leaves: ${decode(payload).message}`));
    else if (!call) return; // of a call that is over
    else if (kind === KIND.ITEM || kind === KIND.DATA) {
      call.items.push(kind === KIND.ITEM ? decode(payload) : Buffer.from(payload));
      // Items are kept here until the call is over, so their credit is given back at once: a patient peer would wait for its reader.
      const credit = Buffer.alloc(4);
      credit.writeUInt32BE(kind === KIND.DATA ? payload.length : Math.min(payload.length, WINDOW / 2));
      this.#send(KIND.CREDIT, 0, stream, credit);
    } else if (kind === KIND.CREDIT) {
      call.credit += payload.readUInt32BE();
      call.wake?.();
    } else {
      this.#calls.delete(stream);
      const value = kind === KIND.RESULT || kind === KIND.ERROR ? decode(payload) : null;
      if (kind === KIND.ERROR) call.reject(Object.assign(new Error(`${value.code}: ${value.message}`), { code: value.code, detail: value.detail }));
      else call.resolve({ value, items: call.items });
      call.wake?.();
    }
  }

  #fail(error) {
    this.#hello.reject(error);
    for (const call of this.#calls.values()) call.reject(error), call.wake?.();
    this.#calls.clear();
  }

  // The answer of a call: its value, and the items that came before it.  `sent`: values, or buffers as pieces of a blob.
  answer(name, args = [], sent = null) {
    const stream = this.#next;
    this.#next += 2;
    return new Promise((resolve, reject) => {
      this.#calls.set(stream, { resolve, reject, items: [], credit: this.#server.credit, wake: null });
      this.#send(KIND.CALL, sent ? OPEN : 0, stream, encode([name, args]));
      if (sent) this.#stream(stream, sent).catch(reject);
    });
  }

  async #stream(stream, sent) {
    for (const value of sent) {
      const isBlob = value instanceof Uint8Array, call = this.#calls.get(stream);
      let rest = isBlob ? value : encode(value);
      while (rest.length && this.#calls.has(stream)) {
        const due = isBlob ? Math.min(rest.length, call.credit, this.#server.frame) : Math.min(rest.length, this.#server.credit >> 1);
        if (due === 0 || due > call.credit) await new Promise((resolve) => (call.wake = resolve));
        else {
          call.credit -= due;
          const taken = isBlob ? due : rest.length;
          this.#send(isBlob ? KIND.DATA : KIND.ITEM, 0, stream, rest.subarray(0, taken));
          rest = rest.subarray(taken);
        }
      }
    }
    if (this.#calls.has(stream)) this.#send(KIND.END, 0, stream);
  }

  async call(name, ...args) {
    return (await this.answer(name, args)).value;
  }

  close() {
    this.#socket.end();
  }
}

async function main(port) {
  const peer = await Peer.connect(port);
  const print = (name, value) => console.log(JSON.stringify({ [name]: value }, (_, v) => (typeof v === "bigint" ? `${v}` : v)));
  print("add", await peer.call("add", 1, 2));
  const many = await Promise.all(Array.from({ length: 200 }, (_, n) => peer.call("add", n, n)));
  print("many", many.every((sum, n) => sum === 2 * n));
  const sample = { text: "naïve ✓", list: [1, -1, 2 ** 40, 1.5, true, null], map: { a: [] } };
  print("echo", await peer.call("echo", sample));
  print("big", await peer.call("echo", -(2n ** 63n)));
  print("countdown", (await peer.answer("countdown", [3])).items);
  print("stream", (await peer.answer("countdown", [20000])).items.length);
  print("total", (await peer.answer("total", [], [1, 2, 3.5])).value);
  print("upper", await peer.answer("upper", [], ["a", "b"]));
  print("sha256", (await peer.answer("sha256", [], [Buffer.alloc(300000, "x")])).value);
  print("zeros", (await peer.answer("zeros", [200000])).items.reduce((size, piece) => size + piece.length, 0));
  print("values", (await peer.answer("", [], ["x", { y: 1 }])).items);
  print("error", await peer.call("divide", 1, 0).catch((error) => error.message));
  peer.close();
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) await main(Number(process.argv[2] ?? 8000));
