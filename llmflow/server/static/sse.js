// Server-sent events from a fetch, which unlike EventSource can send a key and a body.

/** The events of a response's body as `{event, data}`, as the HTML standard parses them. */
export async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let event = "";
  let data = [];
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      // A CR at the very end may be the first half of CR LF.
      const lines = (rest + value).split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop();
      for (const line of lines) {
        if (line === "") {
          if (data.length) yield { event: event || "message", data: data.join("\n") };
          event = "";
          data = [];
          continue;
        }
        const [, field, content] = /^([^:]*):? ?(.*)$/s.exec(line);
        if (field === "event") event = content;
        else if (field === "data") data.push(content);
      }
    }
  } finally {
    await reader.cancel().catch(() => {}); // the connection may be gone already
  }
}
