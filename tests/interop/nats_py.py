"""nats-py, as the tests of interoperability have it: a command in JSON on each line of the input, and an
answer in JSON on each line of the output. Values are in base64. The server's URL is the argument."""

import asyncio
import base64
import json
import sys

import nats
from nats import micro
from nats.js.api import ObjectMeta, ObjectMetaOptions
from nats.js import errors
from nats.micro.request import ServiceError
from nats.micro.service import ServiceInfo, ServicePing, ServiceStats

RECORDS = {"PING": ServicePing, "INFO": ServiceInfo, "STATS": ServiceStats}


def entry(found):
    return {
        "key": found.key,
        "value": base64.b64encode(found.value or b"").decode(),
        "revision": found.revision,
        "operation": found.operation or "PUT",
    }


class Peer:
    def __init__(self, nc):
        self.nc = nc
        self.js = nc.jetstream()
        self.service = None
        self.kv = None
        self.watcher = None
        self.objects = None

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

    async def create_object_bucket(self, bucket):
        self.objects = await self.js.create_object_store(bucket=bucket)

    async def bind_object_bucket(self, bucket):
        self.objects = await self.js.object_store(bucket)

    async def put_object(self, name, value, chunk_size=None, description=None):
        options = ObjectMetaOptions(max_chunk_size=chunk_size) if chunk_size else None
        meta = ObjectMeta(description=description, options=options)
        await self.objects.put(name, base64.b64decode(value), meta=meta)

    async def get_object(self, name):
        try:
            found = await self.objects.get(name)
        except errors.ObjectNotFoundError:
            return None
        return base64.b64encode(found.data).decode()

    async def object_info(self, name):
        info = await self.objects.get_info(name, show_deleted=True)
        return {
            "size": info.size,
            "chunks": info.chunks,
            "description": info.description,
            "deleted": bool(info.deleted),
        }

    async def delete_object(self, name):
        await self.objects.delete(name)

    async def list_objects(self):
        try:
            return [info.name for info in await self.objects.list()]
        except errors.NotFoundError:
            return []

    async def serve(self, name, group):
        """Starts a service with endpoints that answer, that refuse, and that have a bug."""
        self.service = await micro.add_service(
            self.nc, name=name, version="1.2.3", description="echoes", metadata={"by": "nats.py"}
        )

        async def echo(request):
            await request.respond(request.data, headers={"Heard": "yes"})

        async def refuse(request):
            raise ServiceError("404", "no such thing")

        async def fail(request):
            raise ValueError("a bug")

        endpoints = self.service.add_group(name=group, queue_group="workers")
        for handler in (echo, refuse, fail):
            await endpoints.add_endpoint(name=handler.__name__, handler=handler)
        return self.service.id

    async def stop_service(self):
        await self.service.stop()

    async def ask_service(self, verb, name, id):
        """What a service says of itself, as nats-py reads it."""
        reply = await self.nc.request(f"$SRV.{verb}.{name}.{id}", timeout=20)
        return RECORDS[verb].from_dict(json.loads(reply.data)).to_dict()

    async def request(self, subject, text):
        reply = await self.nc.request(subject, text.encode(), timeout=20)
        return {"text": reply.data.decode(), "headers": dict(reply.headers or {})}


async def main():
    nc = await nats.connect(sys.argv[1])
    peer = Peer(nc)
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
