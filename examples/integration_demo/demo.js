// The six cards.

import { Card, duration, el, facts, fetchJson, here, problem, sha256, size, table, whole } from "./ui.js";
import { readEvents } from "./sse.js";
import { decode } from "/decoder/datavalue.js";
import { showValue } from "./datavalue.js";

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
const seconds = (since) => `${((performance.now() - since) / 1000).toFixed(3)} s`;
const left = (node) => el("td", { class: "text" }, node);
const tag = (text) => el("span", { class: "tag" }, text);

// --- DataValue

const postedJson = (card) =>
  `curl ${here("/data-value-demo")} -H 'Content-Type: application/json' --data-binary ${quoted(card.value("json"))}`;

const dataValue = new Card("data-value", {
  curl: postedJson,
  async run(card, signal) {
    card.show();
    card.showCurl(postedJson(card));
    const body = card.value("json");
    const headers = { "Content-Type": "application/json", Accept: "application/json" };
    card.show(...showValue(await fetchJson("/data-value-demo", { method: "POST", body, headers, signal })));
  },
});
const sample = () => dataValue.start(async (signal) => {
  dataValue.show();
  dataValue.showCurl(`curl ${here("/data-value-demo")}`);
  dataValue.show(...showValue(await fetchJson("/data-value-demo", { signal })));
});
dataValue.on("sample", sample);

// --- Upload

// XMLHttpRequest, for fetch does not tell how far an upload is.
function send(url, body, signal, onProgress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", url);
    request.setRequestHeader("Accept", "application/json");
    request.responseType = "text";
    request.upload.addEventListener("progress", (event) => onProgress(event.loaded, event.total));
    request.addEventListener("load", () => {
      const answer = new Response(request.responseText, { status: request.status });
      if (request.status === 200) resolve(answer.json());
      else problem(answer).then(reject);
    });
    request.addEventListener("error", () => reject(new Error("the upload broke off: is the server still running, and the file still there?")));
    request.addEventListener("abort", () => reject(new Error("stopped")));
    signal.addEventListener("abort", () => request.abort());
    request.send(body);
  });
}

const HASHED_HERE = 256 * 2 ** 20;

function fileToSend(card) {
  const [chosen] = card.form.elements.file.files;
  if (chosen) return chosen;
  const block = crypto.getRandomValues(new Uint8Array(65536));
  const mebibyte = new Blob(new Array(16).fill(block));
  return new Blob(new Array(Number(card.value("mebibytes"))).fill(mebibyte)); // one MiB in memory, however large
}

new Card("upload", {
  curl: (card) => {
    const name = card.form.elements.file.files[0]?.name || "FILE";
    return card.value("way") === "raw"
      ? `curl -X POST -T ${quoted(name)} ${here("/large-file-upload")}`
      : `curl -F ${quoted(`file=@${name}`)} ${here("/large-file-upload")}`;
  },
  async run(card, signal) {
    card.show();
    const file = fileToSend(card);
    let body = file;
    if (card.value("way") === "multipart") {
      body = new FormData();
      body.append("file", file, file.name || "made-here");
    }
    const begin = performance.now();
    const answer = await send("/large-file-upload", body, signal, (done, total) => {
      card.advance(done, total);
      card.show(el("p", { class: "quiet", "aria-live": "off" }, `${size(done)} of ${size(total)} after ${seconds(begin)}`));
    });
    const { before, after, grown } = answer.memory;
    const rows = [
      ["received", size(answer.size)],
      ["speed", `${answer.mb_per_second} MB/s`],
      ["pieces", whole(answer.pieces)],
      ["server memory before", size(before)],
      ["after", size(after)],
      ["grown by", grown < 0 ? `−${size(-grown)}` : size(grown)],
      ["sha256", answer.sha256, "small"],
    ];
    card.show(facts(rows));
    if (file.size <= HASHED_HERE && crypto.subtle) {
      const same = await sha256(await file.arrayBuffer()) === answer.sha256;
      card.show(facts([...rows, ["sha256 computed in this page", same ? "the same" : "different", same ? "good" : "bad"]]));
    }
  },
});

// --- Server-Sent Events

let memoryEvents = { log: null, state: null, last: "", begin: 0 };

// By EventSource, which reconnects by itself and then sends Last-Event-ID; closed at `end`.
function watch(card, signal, after) {
  const query = card.query("count", "interval") + (after ? `&last_event_id=${after}` : "");
  const { log, begin, state } = memoryEvents;
  card.show(log.box, state);
  state.textContent = "Waiting for the answer. A browser opens six connections to a server: other tabs may hold them.";
  return new Promise((resolve, reject) => {
    const source = new EventSource(`/sse-quickmem?${query}`);
    const close = () => { source.close(); state.textContent = ""; card.enable("continue", memoryEvents.last !== "" && signal.aborted); };
    const note = (event, ...cells) => log.add(seconds(begin), left(tag(event.type)), event.lastEventId || "–", ...cells);
    source.addEventListener("open", () => { state.textContent = ""; });
    source.addEventListener("connected", (event) => {
      const { resumed_after: resumed } = JSON.parse(event.data);
      note(event, left(resumed ? `continues after ${resumed}` : "from the beginning"), "", "");
    });
    source.addEventListener("update", (event) => {
      const { value, bytes, datavalue } = JSON.parse(event.data);
      memoryEvents.last = event.lastEventId;
      // What is shown was decoded here, from the bytes of the DataValue.
      const decoded = decode(fromBase64(datavalue));
      const memory = decoded.get("memory");
      const title = `peak ${size(memory.get("peak"))}; DataValue, base64: ${datavalue}`;
      const shown = el("span", { title }, `${size(memory.get("resident"))} resident`);
      note(event, left(shown), `${decoded.get("cpu_seconds").toFixed(2)} s`, `${bytes} B / ${JSON.stringify(value).length} B`);
    });
    source.addEventListener("heartbeat", (event) => {
      note(event, left(`${JSON.parse(event.data).open_files ?? "?"} files open`), "", "");
    });
    source.addEventListener("end", (event) => {
      note(event, left(`${JSON.parse(event.data).updates} updates`), "", "");
      memoryEvents.last = "";
      close();
      resolve();
    });
    source.addEventListener("error", () => {
      if (source.readyState !== EventSource.CLOSED) {
        state.textContent = "The connection was lost. The browser tries again every few seconds, and goes on after the last event.";
        return;
      }
      close();
      // EventSource does not say why: ask once more in a way that does.
      readEvents(`/sse-quickmem?${query}`, { signal: AbortSignal.timeout(2000), onEvent() {} })
        .then(() => reject(new Error("the event stream was refused")), reject);
    });
    signal.addEventListener("abort", () => { close(); reject(new Error("stopped")); });
  });
}

const quickmem = new Card("quickmem", {
  curl: (card) => `curl -N ${quoted(here(`/sse-quickmem?${card.query("count", "interval")}`))}`,
  run(card, signal) {
    const log = table(["after", "<event", "id", "<what", "CPU", "DataValue / JSON"]);
    memoryEvents = { log, state: el("p", { class: "quiet", role: "status" }), last: "", begin: performance.now() };
    return watch(card, signal, "");
  },
});
quickmem.on("continue", () => quickmem.start((signal) => watch(quickmem, signal, memoryEvents.last)));

// --- Chunked

const SLOW = { chunks: 160, delay_ms: 0, size: 2 ** 20 };
const chunkedQuery = (card) =>
  card.form.elements.slow.checked ? new URLSearchParams(SLOW).toString() : card.query("chunks", "delay_ms", "size");

new Card("chunked", {
  curl: (card) => `curl -N ${card.form.elements.slow.checked ? "--limit-rate 32M " : ""}${quoted(here(`/chunked-demo?${chunkedQuery(card)}`))}`,
  async run(card, signal) {
    const log = table(["arrived", "chunk", "made at", "held up", "bytes", ""]);
    card.show(log.box);
    const slow = card.form.elements.slow.checked;
    const begin = performance.now();
    const response = await fetch(`/chunked-demo?${chunkedQuery(card)}`, { signal });
    if (!response.ok) throw await problem(response);
    const reader = response.body.getReader();
    const decoder = new TextDecoder();
    let rest = "";
    let received = 0;
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      received += value.length;
      const lines = (rest + decoder.decode(value, { stream: true })).split("\n");
      rest = lines.pop();
      for (const line of lines) {
        const { chunk, of, at_ms: at, waited_ms: waited } = JSON.parse(line);
        const wide = Math.max(1, Math.min(100, waited / 5));
        const bar = el("td", { class: "bars" }, el("span", { class: "bar", style: `width: ${wide}%`, title: `the reader held the producer up for ${waited} ms` }));
        log.add(seconds(begin), `${chunk} / ${of}`, `${(at / 1000).toFixed(3)} s`, `${waited.toFixed(1)} ms`, whole(line.length + 1), bar);
      }
      if (slow) await pause(value.length / 32000, signal); // about 32 MB a second
    }
    card.result.append(el("p", { class: "quiet" }, `${whole(received)} bytes in ${seconds(begin)}.`));
  },
});

function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => { clearTimeout(timer); reject(new Error("stopped")); }, { once: true });
  });
}

// --- A large file

let download = null;

function newDownload(card) {
  const log = table(["after", "<event", "id", "<what"]);
  return { url: `/large-file-sse?${card.query("size", "chunk_size")}`, log, last: "", pieces: [], got: 0, received: 0, begin: performance.now(), total: 0 };
}

function fromBase64(text) {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let index = 0; index < binary.length; index++) bytes[index] = binary.charCodeAt(index);
  return bytes;
}

async function fetchEvents(card, signal) {
  const state = download;
  const note = (name, id, what) => state.log.add(seconds(state.begin), left(tag(name)), id ? `…${id.slice(id.lastIndexOf("-"))}` : "–", el("td", { class: "fold" }, what));
  let complete = null;
  const handlers = {
    start({ size: total, chunks, offset }) {
      state.total = total;
      if (offset === 0) { state.pieces = []; state.got = 0; }
      note("start", "", `${size(total)} in ${whole(chunks)} chunks${offset ? `, from byte ${whole(offset)}` : ""}`);
    },
    cost(data) {
      state.cost = data;
      note("cost", "", `base64 ${data.base64_more} more bytes, ${data.base64_ms_per_mib} ms a MiB`);
    },
    chunk({ data }, id) {
      const piece = fromBase64(data);
      state.pieces.push(piece);
      state.got += piece.length;
      state.last = id;
      card.advance(state.got, state.total);
      if (state.pieces.length <= 3) note("chunk", id, `${data.slice(0, 24)}… ${whole(data.length)} characters`);
    },
    progress({ sent }) {
      note("progress", "", `${size(sent)}, ${Math.floor(100 * sent / state.total)} %`);
    },
    complete(data) {
      complete = data;
      note("complete", "", `sha256 ${complete.sha256}`);
    },
  };
  card.enable("continue", false);
  try {
    await readEvents(state.url, {
      signal,
      lastEventId: state.last,
      onEvent: ({ event, data, id }) => handlers[event]?.(JSON.parse(data), id),
      onBytes: (count) => { state.received += count; },
    });
  } finally {
    card.enable("continue", complete === null && state.last !== "");
  }
  if (!complete) throw new Error("the stream ended before the file was complete; continue to fetch the rest");
  card.advance(1, 1);
  const same = crypto.subtle ? await sha256(await new Blob(state.pieces).arrayBuffer()) === complete.sha256 : null;
  return { complete, same, state };
}

async function finishEvents(card, signal) {
  const { complete, same, state } = await fetchEvents(card, signal);
  card.show(
    state.log.box,
    facts([
      ["file", size(complete.size)],
      ["came as events", size(state.received)],
      ["base64 adds", state.cost.base64_more],
      ["and the server, for each MiB", duration(state.cost.base64_ms_per_mib * 1000)],
      same === null ? null : ["sha256 computed in this page", same ? "the same" : "different", same ? "good" : "bad"],
    ]),
  );
}

const file = new Card("file", {
  curl: (card) => `curl -N ${quoted(here(`/large-file-sse?${card.query("size", "chunk_size")}`))}`,
  run(card, signal) {
    download = newDownload(card);
    card.show(download.log.box);
    return finishEvents(card, signal);
  },
});
file.on("continue", () => file.start((signal) => {
  file.show(download.log.box);
  return finishEvents(file, signal);
}));
file.on("compare", () => file.start(async (signal) => {
  const rows = [];
  const url = `/large-file-sse?${file.query("size", "chunk_size")}`;
  const show = () => {
    const most = Math.max(...rows.map((row) => row.ms));
    const log = table(["way", "bytes received", "time", "MB/s", ""]);
    for (const { name, bytes, ms, payload } of rows) {
      const bar = el("td", { class: "bars" }, el("span", { class: "bar", style: `width: ${100 * ms / most}%` }));
      log.add(left(name), whole(bytes), duration(ms * 1000), (payload / 1000 / ms).toFixed(1), bar);
    }
    file.show(log.box);
  };
  file.show();
  for (const [name, way] of [["events, base64", "sse"], ["chunked", "chunked"], ["sendfile", "sendfile"]]) {
    const begin = performance.now();
    const response = await fetch(`${url}&way=${way}`, { signal });
    if (!response.ok) throw await problem(response);
    const reader = response.body.getReader();
    let bytes = 0;
    for (let read = await reader.read(); !read.done; read = await reader.read()) bytes += read.value.length;
    rows.push({ name, bytes, ms: Math.max(.01, performance.now() - begin), payload: Number(file.value("size")) });
    show();
  }
  file.result.append(el("p", { class: "quiet" }, "Times as this page saw them, its own work included."));
}));

// --- Performance

new Card("performance", {
  curl: (card) => `curl ${quoted(here(`/performance-test?sizes=${card.value("sizes")}&iterations=${card.value("iterations")}`))}`,
  async run(card, signal) {
    card.show(el("p", { class: "quiet" }, "Measuring…"));
    let answer;
    try {
      answer = await fetchJson(`/performance-test?${card.query("sizes", "iterations")}`, { signal });
    } catch (error) {
      card.show();
      throw error;
    }
    const log = table(["codec", "bytes", "encode", "", "decode", ""]);
    const bySize = Map.groupBy ? Map.groupBy(answer.rows, (row) => row.size) : groupBy(answer.rows, (row) => row.size);
    for (const [bytes, rows] of bySize) {
      log.group(`about ${size(bytes)} of JSON`);
      for (const row of rows) {
        const bar = (key) => el("td", { class: "bars" }, el("span", {
          class: row.codec === "datavalue" ? "bar" : "bar other",
          style: `width: ${100 * row[key] / Math.max(...rows.map((other) => other[key]))}%`,
        }));
        log.add(left(row.codec), whole(row.bytes), duration(row.encode_us), bar("encode_us"), duration(row.decode_us), bar("decode_us"));
      }
    }
    log.box.style.maxHeight = "none";
    const versions = Object.entries(answer.versions).map(([name, version]) => `${name} ${version}`).join(", ");
    const { cpu, cores, system } = answer.machine;
    card.show(log.box, el("p", { class: "quiet" }, `Medians of ${answer.iterations}. ${versions}; ${cpu}, ${cores} cores, ${system}.`));
  },
});

function groupBy(rows, key) {
  const groups = new Map();
  for (const row of rows) groups.set(key(row), [...(groups.get(key(row)) || []), row]);
  return groups;
}
