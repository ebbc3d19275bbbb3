//! Clusters of real servers: loaded, dumped as one and by shards, with slots on their way.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::harness::{TUTORIAL, folder, names, run};
use crate::live::{Reply, Server, installed, poll};
use crate::load::{free_port, go, populated};
use crate::server::SOON;

/// Three masters that know each other, by their ports.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<(Server, u16)>,
}

impl Cluster {
    fn start(name: &str) -> Cluster {
        Cluster::start_with(name, 0)
    }

    /// With so many more masters that have no slots.
    fn start_with(name: &str, more: usize) -> Cluster {
        let start = |_| {
            let port = free_port();
            let settings = ["--port", &port.to_string(), "--cluster-enabled", "yes", "--cluster-node-timeout", "5000"];
            (installed(name).start_as(&settings), port)
        };
        let mut nodes: Vec<(Server, u16)> = (0..3 + more).map(start).collect();
        let first = nodes[0].1.to_string();
        for (i, (node, _)) in nodes.iter_mut().enumerate() {
            if let Some((first, last)) = [(0, 5460), (5461, 10922), (10923, 16383)].get(i) {
                let slots: Vec<String> = (*first..=*last).map(|slot: u16| slot.to_string()).collect();
                let slots: Vec<&[u8]> = slots.iter().map(String::as_bytes).collect();
                node.ask("CLUSTER ADDSLOTS", &slots);
            }
            node.ask("CLUSTER SET-CONFIG-EPOCH", &[(i + 1).to_string().as_bytes()]);
            if i > 0 {
                node.ask("CLUSTER MEET 127.0.0.1", &[first.as_bytes()]);
            }
        }
        let mut cluster = Cluster { nodes };
        let mut met = Instant::now();
        let agreed = poll(Duration::from_secs(30), || {
            let all = cluster.nodes.len();
            // A handshake that got lost is not begun again by the servers themselves.
            if met.elapsed() > Duration::from_secs(2) {
                met = Instant::now();
                cluster.nodes[1..].iter_mut().for_each(|(node, _)| {
                    node.ask("CLUSTER MEET 127.0.0.1", &[first.as_bytes()]);
                });
            }
            cluster.nodes.iter_mut().all(|(node, _)| is_whole(node, all)).then_some(())
        });
        assert!(agreed.is_some(), "the cluster does not come together");
        cluster
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.nodes[0].1)
    }

    fn id(&mut self, node: usize) -> Vec<u8> {
        self.nodes[node].0.ask("CLUSTER MYID", &[]).text().to_vec()
    }

    fn keys(&mut self) -> Vec<i64> {
        self.nodes.iter_mut().map(|(node, _)| node.ask("DBSIZE", &[]).int()).collect()
    }
}

fn is_whole(node: &mut Server, nodes: usize) -> bool {
    let info = node.ask("CLUSTER INFO", &[]);
    let info = String::from_utf8_lossy(info.text()).into_owned();
    info.contains("cluster_state:ok")
        && info.contains("cluster_slots_ok:16384")
        && info.contains(&format!("cluster_known_nodes:{nodes}\r"))
}

/// A dump of the whole cluster, and the cluster itself, hold what was loaded into it.
fn comes_back(url: &str, dump: &Path) {
    let folder = folder();
    for method in ["sync", "scan"] {
        let again = folder.path().join(format!("{method}.rdb"));
        let ran = run(["dump", url, "--method", method, "-o"]).args([&again]).go();
        assert_eq!(ran.code, Some(0), "{method}: {ran}");
        assert_eq!(run(["diff",]).args([dump, &again]).ok().out(), "the same: 20,003 keys\n");
    }
    let ran = run(["diff", url]).args([dump]).go();
    assert_eq!((ran.code, ran.out()), (Some(0), "the same: 20,003 keys\n"), "{ran}");
}

#[test]
fn a_cluster_gets_each_key_where_it_belongs() {
    let mut cluster = Cluster::start("redis-7.0.15");
    let (mut source, dump) = populated(20_000);
    let slot = cluster.nodes[0].0.ask("CLUSTER KEYSLOT list", &[]).int();
    let mut owner = [5460, 10922, 16383].iter().position(|last| slot <= *last).unwrap();
    let slot = slot.to_string();
    for method in ["auto", "commands"] {
        // The slot of the list goes to the next node meanwhile.
        let (from, to) = (owner, (owner + 1) % 3);
        let (from_id, to_id) = (cluster.id(from), cluster.id(to));
        cluster.nodes[to].0.ask("CLUSTER SETSLOT", &[slot.as_bytes(), b"IMPORTING", &from_id]);
        cluster.nodes[from].0.ask("CLUSTER SETSLOT", &[slot.as_bytes(), b"MIGRATING", &to_id]);
        let load = go(&["load", dump.to_str().unwrap(), &cluster.url(), "--verify", "--method", method]);
        std::thread::sleep(Duration::from_millis(1500));
        for node in [to, from] {
            cluster.nodes[node].0.ask("CLUSTER SETSLOT", &[slot.as_bytes(), b"NODE", &to_id]);
        }
        let ran = load.join().unwrap();
        assert_eq!(ran.code, Some(0), "{method}: {ran}");
        assert!(ran.err().contains("compared: 20,003 keys as in the files, 0 not"), "{method}: {ran}");
        let keys = cluster.keys();
        assert!(keys.iter().sum::<i64>() == 20_003 && keys.iter().all(|keys| *keys > 6000), "{keys:?}");
        assert_eq!(cluster.nodes[to].0.ask("DUMP list", &[]), source.ask("DUMP list", &[]));
        comes_back(&cluster.url(), &dump);
        for (node, _) in &mut cluster.nodes {
            node.ask("FLUSHALL", &[]);
        }
        owner = to;
    }
    let ran = run(["load", TUTORIAL]).args([cluster.url()]).go();
    assert!(ran.code == Some(1) && ran.err().contains("a cluster has database 0 only; --db-map"), "{ran}");
}

#[test]
fn a_slot_goes_to_a_master_that_had_none() {
    let mut cluster = Cluster::start_with("redis-7.0.15", 1);
    let (_source, dump) = populated(60_000);
    // The last key of the file whose slot no other key has.
    let lines = run(["export", "-q", "--format", "ndjson"]).args([&dump]).ok();
    let entry = |line: &str| Some(crate::json::must_parse(line.as_bytes()).some("key")?.str().to_owned());
    let all: Vec<String> = lines.out().lines().filter_map(entry).collect();
    let slots: Vec<i64> =
        all.iter().map(|key| cluster.nodes[0].0.ask("CLUSTER KEYSLOT", &[key.as_bytes()]).int()).collect();
    let at = (0..all.len()).rev().find(|i| slots.iter().filter(|slot| **slot == slots[*i]).count() == 1).unwrap();
    let (key, slot) = (&all[at], slots[at].to_string());
    let url = cluster.url();
    let load = go(&["load", dump.to_str().unwrap(), &url, "--verify", "--rate", "5M"]);
    let begun = poll(SOON, || (cluster.keys().iter().sum::<i64>() > 10_000).then_some(()));
    let new = cluster.id(3);
    for node in [3, 0, 1, 2] {
        cluster.nodes[node].0.ask("CLUSTER SETSLOT", &[slot.as_bytes(), b"NODE", &new]);
    }
    let ran = load.join().unwrap();
    assert!(begun.is_some() && ran.code == Some(0), "{ran}");
    assert!(ran.err().contains("compared: 60,003 keys as in the files, 0 not"), "{ran}");
    assert_eq!(cluster.nodes[3].0.ask("EXISTS", &[key.as_bytes()]), Reply::Int(1), "{key}: {ran}");
    assert_eq!(cluster.keys().iter().sum::<i64>(), 60_003);
}

#[test]
fn shards_and_the_whole_of_a_cluster() {
    let mut cluster = Cluster::start("redis-7.0.15");
    let (mut source, dump) = populated(20_000);
    let url = cluster.url();
    run(["load", "-q"]).args([&dump]).args([&url]).ok();
    let folder = folder();
    let digests: Vec<Reply> = cluster.nodes.iter_mut().map(|(node, _)| node.ask("DEBUG DIGEST", &[])).collect();
    for method in ["sync", "scan"] {
        let dir = folder.path().join(method);
        let ran = run(["dump", &url, "--per-shard", "--method", method, "-o"]).args([&dir]).go();
        assert!(ran.code == Some(0) && ran.err().contains("20,003 keys in 3 files"), "{ran}");
        let mut want: Vec<String> = cluster.nodes.iter().map(|(_, port)| format!("127.0.0.1-{port}.rdb")).collect();
        want.sort();
        assert_eq!(names(&dir), want, "{method}");
        for ((_, port), digest) in cluster.nodes.iter().zip(&digests) {
            let mut alone = installed("redis-7.0.15").start_with(&dir.join(format!("127.0.0.1-{port}.rdb")));
            assert_eq!(alone.ask("DEBUG DIGEST", &[]), *digest, "{method}");
        }
        assert!(run(["dump", &url, "--per-shard", "-o"]).args([&dir]).refuses().contains("is not empty"));
    }
    let lines = folder.path().join("lines");
    let args = ["dump", &url, "--per-shard", "--json", "--format", "ndjson", "--key", "key:1*", "-o"];
    let ran = run(args).args([&lines]).ok();
    let told = crate::json::must_parse(&ran.stdout);
    assert_eq!(told.at("shards").items().len(), 3);
    assert!(names(&lines).iter().all(|name| name.ends_with(".ndjson")) && told.at("keys").int() > 10_000, "{ran}");

    // All of it into one server, with nothing in between.
    for method in ["auto", "replication"] {
        let mut server = installed("redis-8.6.3").start();
        let ran = run(["load", &url, &server.url(), "--method", method]).go();
        assert!(ran.code == Some(0) && ran.err().contains("20,003 keys"), "{method}: {ran}");
        assert_eq!(server.ask("DBSIZE", &[]), Reply::Int(20_003));
        let same = run(["diff", &server.url()]).args([&dump]).go();
        assert_eq!((same.code, same.out()), (Some(0), "the same: 20,003 keys\n"), "{method}: {same}");
    }
    // And back, from a server into the cluster.
    cluster.nodes.iter_mut().for_each(|(node, _)| drop(node.ask("FLUSHALL", &[])));
    source.ask("CONFIG SET repl-diskless-sync-delay 0", &[]);
    let ran = run(["load", &source.url(), &url, "--verify"]).go();
    assert!(ran.code == Some(0) && ran.err().contains("compared: 20,003 keys as in the files, 0 not"), "{ran}");
    let after: Vec<Reply> = cluster.nodes.iter_mut().map(|(node, _)| node.ask("DEBUG DIGEST", &[])).collect();
    assert_eq!(after, digests);

    // One master is out of reach: none of the files appears.
    cluster.nodes[2].0.kill();
    let none = folder.path().join("none");
    run(["dump", &url, "--per-shard", "--connect-timeout", "2s", "-o"]).args([&none]).refuses();
    assert!(!none.exists() && names(folder.path()).iter().all(|name| !name.ends_with(".part")));
}
