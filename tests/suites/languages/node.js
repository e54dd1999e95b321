// node-redis 4.
const { createClient, commandOptions } = require('redis');

function check(holds, what) {
  if (!holds) throw new Error(`wrong: ${what}`);
}

async function main() {
  const c = createClient({ socket: { host: '127.0.0.1', port: Number(process.argv[2]) } });
  await c.connect();
  const binary = 'a\0\r\nb';

  check(await c.set('k', binary) === 'OK', 'SET');
  check(await c.get('k') === binary, 'GET');
  check((await c.get(commandOptions({ returnBuffers: true }), 'k')).length === 5, 'GET of bytes');

  const replies = await Promise.all(Array.from({ length: 100 }, () => c.incr('n')));
  check(replies[99] === 100, 'pipeline');

  check(await c.hSet('h', { f: '1', g: '2' }) === 2, 'HSET');
  const hash = await c.hGetAll('h');
  check(hash.f === '1' && hash.g === '2', 'HGETALL');

  check(await c.rPush('l', ['a', 'b', 'c']) === 3, 'RPUSH');
  check((await c.lRange('l', 1, -1)).join() === 'b,c', 'LRANGE');

  check(await c.zAdd('z', [{ score: 2.5, value: 'b' }, { score: 1, value: 'a' }]) === 2, 'ZADD');
  check((await c.zRangeWithScores('z', 0, -1))[1].score === 2.5, 'ZRANGE');

  const subscriber = c.duplicate();
  await subscriber.connect();
  const message = new Promise((resolve) => { subscriber.subscribe('news', resolve); });
  while (await c.publish('news', 'hello') === 0) { /* not subscribed yet */ }
  check(await message === 'hello', 'message');

  const script = "return {KEYS[1], ARGV[1], redis.call('INCR', 'n')}";
  const result = await c.eval(script, { keys: ['k'], arguments: ['x'] });
  check(result[1] === 'x' && result[2] === 101, 'EVAL');

  const id = await c.xAdd('s', '*', { f: 'v' });
  const entries = await c.xRange('s', '-', '+');
  check(entries.length === 1 && entries[0].id === id && entries[0].message.f === 'v', 'XRANGE');

  const done = await c.multi().incr('n').get('n').exec();
  check(done[0] === 102 && done[1] === '102', 'EXEC');

  const error = await c.lPush('k', 'x').catch((e) => e);
  check(error instanceof Error && error.message.startsWith('WRONGTYPE'), 'error');
  await subscriber.disconnect();
  await c.disconnect();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
