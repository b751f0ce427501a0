// The npm package etcd3 against quoin: keys, transactions, watches, leases, locks, elections. Prints one line per case; exit 1 on failure.
'use strict';
const assert = require('assert');
const { Etcd3 } = require('etcd3');

const client = new Etcd3({ hosts: process.argv.slice(2) });

const cases = {
  'put, get, delete': async () => {
    await client.put('foo').value('bar');
    assert.strictEqual(await client.get('foo').string(), 'bar');
    await client.put('foo').value('baz');
    const answer = await client.get('foo').exec();
    assert.strictEqual(answer.kvs[0].version, '2');
    assert.strictEqual((await client.delete().key('foo').exec()).deleted, '1');
    assert.strictEqual(await client.get('foo').string(), null);
  },
  'prefix and range': async () => {
    for (let i = 0; i < 10; ++i) await client.put('p/' + i).value(i);
    assert.strictEqual(Object.keys(await client.getAll().prefix('p/').strings()).length, 10);
    assert.deepStrictEqual(await client.getAll().prefix('p/').sort('Key', 'Descend').limit(2).keys(), ['p/9', 'p/8']);
    assert.strictEqual(await client.getAll().prefix('p/').count(), 10);
    await client.delete().prefix('p/');
    assert.strictEqual(await client.getAll().prefix('p/').count(), 0);
  },
  'transactions': async () => {
    await client.put('t').value('1');
    const swap = () => client.if('t', 'Value', '==', '1').then(client.put('t').value('2')).else(client.get('t')).commit();
    assert.strictEqual((await swap()).succeeded, true);
    const second = await swap();
    assert.strictEqual(second.succeeded, false);
    assert.strictEqual(second.responses[0].response_range.kvs[0].value.toString(), '2');
  },
  'software transactional memory': async () => {
    await client.put('n').value('1');
    await client.stm().transact(async (tx) => {
      const value = await tx.get('n').number();
      await tx.put('n').value(value + 41);
    });
    assert.strictEqual(await client.get('n').number(), 42);
  },
  'watch': async () => {
    const watcher = await client.watch().prefix('w/').create();
    const seen = [];
    const all = new Promise((resolve) => {
      const note = (kind) => (kv) => {
        seen.push(kind + ' ' + kv.key.toString());
        if (seen.length === 3) resolve();
      };
      watcher.on('put', note('put'));
      watcher.on('delete', note('delete'));
    });
    await client.put('w/a').value('1');
    await client.put('w/b').value('2');
    await client.delete().key('w/a');
    await all;
    assert.deepStrictEqual(seen, ['put w/a', 'put w/b', 'delete w/a']);
    await watcher.cancel();
  },
  'lease': async () => {
    const lease = client.lease(10);
    await lease.put('leased').value('x');
    assert.strictEqual(await client.get('leased').string(), 'x');
    await lease.revoke();
    assert.strictEqual(await client.get('leased').string(), null);
  },
  'a lease that is kept alive, and lost': async () => {
    const lease = client.lease(2);
    const id = await lease.grant();
    await lease.put('kept').value('x');
    await lease.keepaliveOnce();
    const lost = new Promise((resolve) => lease.on('lost', resolve));
    await new Promise((resolve) => lease.on('keepaliveSucceeded', resolve));
    assert.strictEqual(await client.get('kept').string(), 'x');
    await client.leaseClient.leaseRevoke({ ID: id });
    await lost;
    assert.strictEqual(await client.get('kept').string(), null);
  },
  'a lease that nobody keeps alive': async () => {
    const lease = client.lease(2, { autoKeepAlive: false });
    const watcher = await client.watch().key('short').create();
    const gone = new Promise((resolve) => watcher.on('delete', resolve));
    await lease.put('short').value('x');
    await gone;
    assert.strictEqual(await client.get('short').string(), null);
    await watcher.cancel();
  },
  'lock': async () => {
    const first = client.lock('l').ttl(10);
    await first.acquire();
    await assert.rejects(client.lock('l').ttl(10).acquire());
    await first.release();
    await client.lock('l').ttl(10).do(async () => {});
  },
  'election': async () => {
    const election = client.election('e', 10);
    const campaign = election.campaign('me');
    await new Promise((resolve, reject) => {
      campaign.on('elected', resolve);
      campaign.on('error', reject);
    });
    assert.strictEqual(await election.leader(), 'me');
    await campaign.proclaim('still me');
    assert.strictEqual(await election.leader(), 'still me');
    const observer = await election.observe();
    const next = new Promise((resolve) => observer.on('change', (value) => value === 'you' && resolve()));
    const second = client.election('e', 10).campaign('you');
    const elected = new Promise((resolve) => second.on('elected', resolve));
    await campaign.resign();
    await elected;
    await next;
    assert.strictEqual(await election.leader(), 'you');
    await observer.cancel();
    await second.resign();
  },
  'errors keep their text': async () => {
    await assert.rejects(client.put('').value('x').exec(), /key is not provided/);
  },
};

(async () => {
  let failed = 0;
  for (const [name, run] of Object.entries(cases)) {
    try {
      await run();
      console.log('ok      npm etcd3: ' + name);
    } catch (error) {
      ++failed;
      console.log('FAILED  npm etcd3: ' + name + ': ' + error.stack);
    }
  }
  client.close();
  process.exit(failed ? 1 : 0);
})();
