"""A framed echo on uvloop, `framed_echo.py PATH REPLY_BYTES`: what loop and Python cost before anything is decided."""

import asyncio
import struct
import sys

import uvloop

HEADER = struct.Struct(">IBBHQ")


class Echo(asyncio.Protocol):
    reply = b""

    def connection_made(self, transport):
        self.transport = transport
        self.rest = b""

    def data_received(self, data):
        data = self.rest + data if self.rest else data
        at, end, out = 0, len(data), []
        while end - at >= 16:
            length, version, kind, flags, id = HEADER.unpack_from(data, at)
            if at + 16 + length > end:
                break
            out.append(HEADER.pack(len(self.reply), version, 5 if kind == 3 else kind, flags, id) + self.reply)
            at += 16 + length
        self.rest = data[at:]
        if out:
            self.transport.write(out[0] if len(out) == 1 else b"".join(out))


async def serve(path):
    server = await asyncio.get_running_loop().create_unix_server(Echo, path)
    await server.serve_forever()


if __name__ == "__main__":
    Echo.reply = b"x" * int(sys.argv[2])
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(sys.argv[1]))
