"""nats-py, as tests/kv_interop.rs has it: a command in JSON on each line of the input, and an answer in
JSON on each line of the output. Values are in base64. The server's URL is the argument."""

import asyncio
import base64
import json
import sys

import nats
from nats.js import errors


def entry(found):
    return {
        "key": found.key,
        "value": base64.b64encode(found.value or b"").decode(),
        "revision": found.revision,
        "operation": found.operation or "PUT",
    }


class Peer:
    def __init__(self, js):
        self.js = js
        self.kv = None
        self.watcher = None

    async def create_bucket(self, bucket, history=1, direct=True, marker_ttl=None):
        self.kv = await self.js.create_key_value(
            bucket=bucket, history=history, direct=direct, limit_marker_ttl=marker_ttl
        )

    async def bind(self, bucket):
        self.kv = await self.js.key_value(bucket)

    async def put(self, key, value):
        return await self.kv.put(key, base64.b64decode(value))

    async def create(self, key, value, ttl=None):
        return await self.kv.create(key, base64.b64decode(value), msg_ttl=ttl)

    async def update(self, key, value, revision):
        return await self.kv.update(key, base64.b64decode(value), last=revision)

    async def delete(self, key):
        await self.kv.delete(key)

    async def purge(self, key, ttl=None):
        await self.kv.purge(key, msg_ttl=ttl)

    async def get(self, key):
        try:
            return entry(await self.kv.get(key))
        except errors.KeyNotFoundError:
            return None

    async def get_revision(self, key, revision):
        return entry(await self.kv.get(key, revision=revision))

    async def keys(self):
        try:
            return await self.kv.keys()
        except errors.NoKeysError:
            return []

    async def history(self, key):
        return [entry(found) for found in await self.kv.history(key)]

    async def watch(self):
        self.watcher = await self.kv.watchall()

    async def next(self):
        """The next entry. The signal that everything was shown has no counterpart in other clients."""
        update = await self.watcher.updates(20)
        while update is None:
            update = await self.watcher.updates(20)
        return entry(update)

    async def values(self):
        return (await self.kv.status()).values


async def main():
    nc = await nats.connect(sys.argv[1])
    peer = Peer(nc.jetstream())
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        command = json.loads(line)
        try:
            answer = {"ok": await getattr(peer, command.pop("do"))(**command)}
        except errors.KeyWrongLastSequenceError as error:
            answer = {"conflict": str(error)}
        except Exception as error:
            answer = {"error": repr(error)}
        print(json.dumps(answer), flush=True)
    await nc.close()


asyncio.run(main())
