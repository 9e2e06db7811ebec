// The application on Node's own http module.
import { createReadStream, statSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";

const HELLO = Buffer.from("Hello, World!");
const MESSAGE = {
  id: 4711, name: "a small object", active: true, score: 0.75,
  tags: ["json", "benchmark", "streaming"], owner: { id: 12, name: "somebody" },
};
const PIECE = Buffer.alloc(65536, Buffer.from(Array.from({ length: 256 }, (_, i) => i)));
const subscribers = new Set();
let number = 0;

setInterval(() => {
  number += 1;
  // process.hrtime is CLOCK_MONOTONIC, the clock that the subscribers compare with.
  const t = Number(process.hrtime.bigint()) / 1e9;
  const event = Buffer.from(`id: ${number}\ndata: ${JSON.stringify({ n: number, t, pad: "x".repeat(40) })}\n\n`);
  for (const subscriber of subscribers) subscriber.write(event);
}, 100);

function json(response, value) {
  const content = Buffer.from(JSON.stringify(value));
  response.writeHead(200, { "Content-Type": "application/json", "Content-Length": content.length });
  response.end(content);
}

function chunked(response) {
  response.writeHead(200, { "Content-Type": "application/octet-stream" });
  let left = 1024;
  const go = () => {
    while (left > 0) {
      left -= 1;
      if (!response.write(PIECE)) { response.once("drain", go); return; }
    }
    response.end();
  };
  go();
}

function tokens(response) {
  response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
  let number = 0;
  const go = () => {
    while (number < 200) {
      const event = JSON.stringify({ index: number, token: `word ${number % 10}`, finish: null });
      number += 1;
      if (!response.write(`data: ${event}\n\n`)) { response.once("drain", go); return; }
    }
    response.end();
  };
  go();
}

const server = createServer((request, response) => {
  const path = request.url.split("?", 1)[0];
  if (path === "/") {
    response.writeHead(200, { "Content-Type": "text/plain", "Content-Length": HELLO.length });
    response.end(HELLO);
  } else if (path === "/json") json(response, MESSAGE);
  else if (path === "/echo") {
    const pieces = [];
    request.on("data", (piece) => pieces.push(piece));
    request.on("end", () => json(response, JSON.parse(Buffer.concat(pieces))));
  } else if (path === "/upload") {
    let size = 0;
    request.on("data", (piece) => { size += piece.length; });
    request.on("end", () => json(response, { size }));
  } else if (path === "/chunked") chunked(response);
  else if (path === "/tokens") tokens(response);
  else if (path === "/events") {
    response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
    response.write(": hello\n\n");
    subscribers.add(response);
    response.on("close", () => subscribers.delete(response));
  } else if (path.startsWith("/files/")) {
    const name = join(process.env.BENCH_FILES, path.slice(7));
    response.writeHead(200, { "Content-Length": statSync(name).size });
    createReadStream(name).pipe(response);
  } else { response.writeHead(404); response.end(); }
});
server.keepAliveTimeout = 75000;
server.listen(Number(process.env.BENCH_PORT), "127.0.0.1", 2048);
