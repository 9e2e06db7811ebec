// An event stream by fetch (WHATWG HTML 9.2.6), for what EventSource hides: the bytes that came, and errors in words.

import { problem } from "./ui.js";

// Calls onEvent({event, data, id}) for each event and onBytes(count) for what came; ends with the stream.
export async function readEvents(url, { signal, lastEventId, onEvent, onBytes = () => {} }) {
  const headers = { Accept: "text/event-stream" };
  if (lastEventId) headers["Last-Event-ID"] = lastEventId;
  const response = await fetch(url, { signal, headers });
  if (!response.ok) throw await problem(response);
  const parser = eventParser(onEvent);
  const decoder = new TextDecoder();
  const reader = response.body.getReader();
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    onBytes(value.length);
    parser(decoder.decode(value, { stream: true }));
  }
}

export function eventParser(onEvent) {
  let rest = "";
  let event = "";
  let data = [];
  let id = "";
  return (text) => {
    rest += text;
    const lines = rest.split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop();
    for (const line of lines) {
      if (line === "") {
        if (data.length) onEvent({ event: event || "message", data: data.join("\n"), id });
        event = "";
        data = [];
        continue;
      }
      const colon = line.indexOf(":");
      if (colon === 0) continue;
      const field = colon < 0 ? line : line.slice(0, colon);
      const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
      if (field === "data") data.push(value);
      else if (field === "event") event = value;
      else if (field === "id" && !value.includes("\0")) id = value;
    }
  };
}
