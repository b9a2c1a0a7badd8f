// nats.js, as the tests of interoperability have it: a command in JSON on each line of the input, and an
// answer in JSON on each line of the output. Values are in base64. The server's URL is the argument; NODE_PATH is
// where the client is.

const readline = require("node:readline");
const { connect } = require("@nats-io/transport-node");
const { JetStreamApiError } = require("@nats-io/jetstream");
const { Kvm } = require("@nats-io/kv");
const { Objm } = require("@nats-io/obj");

function entry(found) {
  return {
    key: found.key,
    value: Buffer.from(found.value).toString("base64"),
    revision: found.revision,
    operation: found.operation,
  };
}

const bytes = (value) => new Uint8Array(Buffer.from(value, "base64"));
const seconds = (ttl) => (ttl === undefined ? undefined : `${ttl}s`);

async function all(iterator, convert) {
  const items = [];
  for await (const item of await iterator) items.push(convert(item));
  return items;
}

class Peer {
  constructor(nc) {
    this.kvm = new Kvm(nc);
    this.objm = new Objm(nc);
  }

  async create_bucket({ bucket, history = 1, direct = true, marker_ttl, mirror }) {
    const options = { history, allow_direct: direct };
    if (marker_ttl) options.markerTTL = marker_ttl * 1000;
    if (mirror) options.mirror = { name: mirror };
    this.kv = await this.kvm.create(bucket, options);
  }

  // `open` asks the server for nothing, and is told how the bucket is read
  async bind({ bucket }) {
    this.kv = await this.kvm.open(bucket, { allow_direct: true });
  }

  put({ key, value }) {
    return this.kv.put(key, bytes(value));
  }

  create({ key, value, ttl }) {
    return this.kv.create(key, bytes(value), seconds(ttl));
  }

  update({ key, value, revision }) {
    return this.kv.update(key, bytes(value), revision);
  }

  delete({ key }) {
    return this.kv.delete(key);
  }

  purge({ key, ttl }) {
    return this.kv.purge(key, { ttl: seconds(ttl) });
  }

  async get({ key }) {
    const found = await this.kv.get(key);
    return found?.operation === "PUT" ? entry(found) : null;
  }

  async get_revision({ key, revision }) {
    return entry(await this.kv.get(key, { revision }));
  }

  keys() {
    return all(this.kv.keys(), (key) => key);
  }

  history({ key }) {
    return all(this.kv.history({ key }), entry);
  }

  async watch() {
    this.watcher = (await this.kv.watch())[Symbol.asyncIterator]();
  }

  async next() {
    return entry((await this.watcher.next()).value);
  }

  async create_object_bucket({ bucket }) {
    this.objects = await this.objm.create(bucket);
  }

  async bind_object_bucket({ bucket }) {
    this.objects = await this.objm.open(bucket);
  }

  async put_object({ name, value, chunk_size, description }) {
    const meta = { name, description };
    if (chunk_size) meta.options = { max_chunk_size: chunk_size };
    await this.objects.putBlob(meta, bytes(value));
  }

  async get_object({ name }) {
    const found = await this.objects.getBlob(name);
    return found ? Buffer.from(found).toString("base64") : null;
  }

  async object_info({ name }) {
    const { size, chunks, description, deleted } = await this.objects.info(name);
    return { size, chunks, description: description || null, deleted };
  }

  async delete_object({ name }) {
    await this.objects.delete(name);
  }

  async list_objects() {
    return (await this.objects.list()).map((info) => info.name);
  }

  async link_object({ name, to }) {
    await this.objects.link(name, await this.objects.info(to));
  }

  async link_bucket({ name, bucket }) {
    await this.objects.linkStore(name, await this.objm.open(bucket));
  }

  async values() {
    return (await this.kv.status()).values;
  }
}

async function answer(peer, { do: command, ...options }) {
  try {
    return { ok: (await peer[command](options)) ?? null };
  } catch (error) {
    const conflicts = [10071, 10164];
    const isConflict = error instanceof JetStreamApiError && conflicts.includes(error.code);
    return isConflict ? { conflict: error.message } : { error: String(error) };
  }
}

async function main() {
  const nc = await connect({ servers: process.argv[2] });
  const peer = new Peer(nc);
  for await (const line of readline.createInterface({ input: process.stdin })) {
    process.stdout.write(`${JSON.stringify(await answer(peer, JSON.parse(line)))}\n`);
  }
  await nc.close();
}

main();
