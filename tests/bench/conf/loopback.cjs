// The gateway has no option for the address that it listens on, and nobody but this machine is to reach it.
const { Server } = require("net");
const { listen } = Server.prototype;
Server.prototype.listen = function (first, ...rest) {
  const port = Number(first?.port ?? first);
  return listen.call(this, { port, host: "127.0.0.1" }, rest.find((item) => typeof item === "function"));
};
