// An origin that reads as Node does, strictly. It prints a line for each request, and for what it cannot read.
const http = require("http");
const say = o => require("fs").writeSync(1, JSON.stringify(o) + "\n");
const answer = (method, target, n) => say({ method, target, length: n });
const server = http.createServer({ insecureHTTPParser: false, requireHostHeader: true, maxHeaderSize: 256 << 10 }, (q, r) => {
  let n = 0;
  q.on("data", d => (n += d.length));
  q.on("end", () => { answer(q.method, q.url, n); r.end("ok"); });
});
server.on("upgrade", (q, socket) => { answer(q.method, q.url, 0); socket.end("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"); });
server.on("clientError", (e, socket) => {
  const start = e.rawPacket ? e.rawPacket.toString("latin1") : "";
  const method = /^([!-9;-~]+) [/*]/.exec(start);
  if (e.code === "HPE_INVALID_METHOD" && method && !http.METHODS.includes(method[1])) answer(method[1], start.split(" ")[1], 0); // Node knows a list of methods
  else if (/^HPE_INVALID_EOF_STATE|^ECONN|^EPIPE/.test(e.code)) say({ cut: true }); // the gateway gave the request up
  else say({ broken: e.code + " in " + JSON.stringify(start.slice(0, 300)) });
  socket.end("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
});
server.listen(0, "127.0.0.1", () => say({ address: "127.0.0.1:" + server.address().port }));
