//! What stands out, in words, and what to do about it.

use super::hints::{COMPACT, HUGE, LONG, Noticed, limits};
use super::histogram::IDLE_NAMES;
use super::outline::Outline;
use super::slots::skew;
use super::tally::share;
use super::top::Measure;
use super::{Dissected, Footprint};
use crate::model::Kind;
use crate::text;

/// How much a finding matters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Weight {
    /// Something is wrong or will be.
    Serious,
    /// Memory can be saved, or trouble avoided.
    Worthwhile,
    /// Good to know.
    Notable,
}

impl Weight {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Weight::Serious => "serious",
            Weight::Worthwhile => "worthwhile",
            Weight::Notable => "notable",
        }
    }
}

/// One thing that stands out.
#[derive(Clone, Debug)]
pub struct Finding {
    /// How much it matters.
    pub weight: Weight,
    /// What is so, in one sentence.
    pub title: String,
    /// What that means, with an example where there is one.
    pub detail: String,
    /// What to do.
    pub advice: String,
}

/// What is below this part of the memory is not worth a word.
const LEAST: f64 = 0.01;

/// A collector of findings.
struct Found(Vec<Finding>);

impl Found {
    fn add(&mut self, weight: Weight, title: String, detail: String, advice: &str) {
        self.0.push(Finding { weight, title, detail, advice: advice.to_owned() });
    }
}

/// What stands out in a dump, the most serious first. `outline` is that of its prefixes.
pub fn findings(dissected: &Dissected, outline: &Outline) -> Vec<Finding> {
    let footprint = &dissected.footprint;
    let mut found = Found(Vec::new());
    damage(dissected, &mut found);
    if footprint.total.keys > 0 {
        concentration(footprint, &mut found);
        prefix_alone(footprint, outline, &mut found);
        expiries(dissected, outline, &mut found);
        near_limits(dissected, &mut found);
        large_values(footprint, &mut found);
        small_values(footprint, &mut found);
        packing(footprint, &mut found);
        idle(footprint, &mut found);
        slots(footprint, &mut found);
        databases(footprint, &mut found);
    }
    found.0.sort_by_key(|finding| finding.weight);
    found.0
}

/// `41 %`, or `0.4 %` where it is little.
fn percent(part: f64) -> String {
    let percent = part * 100.0;
    if percent >= 99.5 && part < 1.0 {
        return "over 99 %".to_owned();
    }
    if percent >= 9.95 || percent == 0.0 { format!("{percent:.0} %") } else { format!("{percent:.1} %") }
}

fn example(noticed: &Noticed) -> String {
    noticed
        .example
        .as_ref()
        .map_or(String::new(), |(key, memory)| format!("{} ({})", text::quoted_short(key), text::bytes(*memory)))
}

fn damage(dissected: &Dissected, found: &mut Found) {
    if let Some(e) = &dissected.damage {
        let detail = format!("{e}. All that is said here goes up to there; what comes after it is not in it.");
        let advice = "Run rdbkit check for the list of errors; take another copy of the dump if there is one.";
        found.add(Weight::Serious, "The file could not be read to its end.".into(), detail, advice);
    }
    let damaged = dissected.footprint.hints.damaged;
    if let Some(e) = dissected.footprint.damage.as_ref().filter(|_| damaged > 0) {
        let detail = format!("They are counted with their size in the file. The first: {e}.");
        let advice = "Run rdbkit check for the list of them.";
        found.add(Weight::Serious, format!("{} could not be decoded.", text::count(damaged, "value")), detail, advice);
    }
}

fn concentration(footprint: &Footprint, found: &mut Found) {
    let total = footprint.total.memory;
    let top = footprint.tops.by(Measure::Memory);
    if top.len() < 2 || footprint.seen < 10 {
        return;
    }
    let sums: Vec<u64> = top
        .iter()
        .scan(0_u64, |sum, row| {
            *sum = sum.saturating_add(row.memory);
            Some(*sum)
        })
        .collect();
    // So few that they are a small part of all keys, and so much that it counts.
    let few = [1, 3, 10].into_iter().find(|few| {
        sums.get(few - 1).is_some_and(|sum| share(*sum, total) >= 0.2) && *few as u64 * 20 <= footprint.seen
    });
    let Some(few) = few else { return };
    let names: Vec<String> = top[..few.min(3)].iter().map(|row| text::quoted_short(&row.key)).collect();
    let (part, keys) = (percent(share(sums[few - 1], total)), text::count(few as u64, "key"));
    let detail = format!("{}: {}", text::bytes(sums[few - 1]), names.join(", ") + if few > 3 { ", …" } else { "" });
    let advice = "Whatever shall save memory begins here: trim, split or expire them. In a cluster such a key is all on \
                  one node.";
    found.add(Weight::Worthwhile, format!("{part} of memory is in {keys}."), detail, advice);
}

fn prefix_alone(footprint: &Footprint, outline: &Outline, found: &mut Found) {
    let Some(heaviest) = outline.children.first().filter(|_| footprint.seen >= 10) else { return };
    let part = share(heaviest.tally.memory, footprint.total.memory);
    if part < 0.5 || heaviest.tally.keys < 2 || heaviest.is_rest {
        return;
    }
    let title =
        format!("{} of memory is in keys that begin with {}.", percent(part), text::quoted_short(&heaviest.name));
    let each = heaviest.tally.memory / heaviest.tally.keys.max(1);
    let detail = format!("{}, {} each on average.", text::count(heaviest.tally.keys, "key"), text::bytes(each));
    found.add(Weight::Notable, title, detail, "Look at the picture of prefixes to see what is in it.");
}

fn expiries(dissected: &Dissected, outline: &Outline, found: &mut Found) {
    let footprint = &dissected.footprint;
    let total = &footprint.total;
    let expired = &footprint.hints.expired;
    if share(expired.keys, total.keys) >= LEAST || share(expired.memory, total.memory) >= LEAST {
        let title = format!("{} of the keys have expired by now.", percent(share(expired.keys, total.keys)));
        let detail = format!("{} with {}.", text::count(expired.keys, "key"), text::bytes(expired.memory));
        let advice = "A server that loads this dump now drops them. To bring them back, rebase or strip the expiries: \
                      rdbkit convert --ttl rebase.";
        found.add(Weight::Notable, title, detail, advice);
    }
    if footprint.expiring == 0 && total.keys >= 100 {
        let detail = "With a maxmemory policy of the volatile kind nothing could be evicted.".to_owned();
        let advice = "Give keys that are a cache a TTL, or use an allkeys policy.";
        found.add(Weight::Notable, "No key has an expiry.".into(), detail, advice);
        return;
    }
    // Where some keys of a prefix expire, those that don't may have been forgotten.
    let mut mixed: Vec<&Outline> = Vec::new();
    outline.walk(&mut |node, level| {
        let part = share(node.tally.memory, total.memory);
        let lasting = share(node.tally.lasting, node.tally.keys);
        // Both kinds in one place: somebody meant these keys to expire.
        let is_leaf = node.children.is_empty();
        if level > 0 && is_leaf && part >= LEAST && node.tally.keys >= 20 && lasting > 0.02 && lasting < 0.98 {
            mixed.push(node);
        }
    });
    mixed.sort_by_key(|node| u64::MAX - node.tally.lasting_memory);
    let name = |node: &Outline| {
        let name = String::from_utf8_lossy(&node.name).replace(char::is_control, "?");
        if name.ends_with('*') { name } else { name + "*" }
    };
    let missing = |node: &Outline| percent(share(node.tally.lasting, node.tally.keys));
    let [node, others @ ..] = mixed.as_slice() else { return };
    let title = format!("No TTL on {} of {}.", missing(node), name(node));
    let (lasting, all) = (text::grouped(node.tally.lasting), text::count(node.tally.keys, "key"));
    let memory = text::bytes(node.tally.lasting_memory);
    let mut detail = format!("{lasting} of {all}, {memory} that will never go by themselves, while the others will.");
    if !others.is_empty() {
        let names: Vec<String> = others.iter().take(4).map(|o| format!("{} ({})", name(o), missing(o))).collect();
        let more = match others.len() {
            0..=4 => String::new(),
            all => format!(" and {} more prefixes", all - 4),
        };
        detail.push_str(&format!(" It is alike with {}{more}.", names.join(", ")));
    }
    let advice = "Find the code path that writes them without EX, or that overwrites them with a plain SET, which takes \
                  the TTL away (KEEPTTL keeps it).";
    found.add(Weight::Worthwhile, title, detail, advice);
}

fn near_limits(dissected: &Dissected, found: &mut Found) {
    let footprint = &dissected.footprint;
    let names = ["hash", "set", "zset"];
    for (i, kind) in COMPACT.into_iter().enumerate() {
        let (entries, value) = limits(kind, dissected.origin.version);
        let packed = if dissected.origin.version >= 10 { "listpack" } else { "ziplist" };
        let name = names[i];
        let by_entries = (&footprint.hints.over_entries[i], entries, "entries", "elements");
        let by_value = (&footprint.hints.over_value[i], value, "value", "bytes in its longest element");
        for (noticed, limit, setting, unit) in [by_entries, by_value] {
            if noticed.keys == 0 {
                continue;
            }
            let keys = noticed.keys;
            let (what, are) = (kind_name(kind, keys), if keys == 1 { "is" } else { "are" });
            let title = format!("{} {what} {are} just over the {packed} limit.", text::grouped(keys));
            let (have, all) = (text::grouped(noticed.detail), text::bytes(noticed.memory));
            let detail = format!(
                "{} has {have} {unit}, the limit is {limit}. They take {all} as tables; packed they take about a third \
                 to a half of that.",
                example(noticed),
            );
            let more = limit + limit / 4;
            let advice = format!(
                "Raise {name}-max-{packed}-{setting} to {more}, or keep them below the limit. Packed values cost a \
                 little more time on each access."
            );
            let is_much = share(noticed.memory, footprint.total.memory) >= LEAST;
            let weight = if is_much { Weight::Worthwhile } else { Weight::Notable };
            found.add(weight, title, detail, &advice);
        }
    }
}

fn kind_name(kind: Kind, keys: u64) -> &'static str {
    match (kind, keys) {
        (Kind::Hash, 1) => "hash",
        (Kind::Hash, _) => "hashes",
        (Kind::Zset, 1) => "sorted set",
        (Kind::Zset, _) => "sorted sets",
        (_, 1) => "set",
        _ => "sets",
    }
}

fn large_values(footprint: &Footprint, found: &mut Found) {
    let huge = &footprint.hints.huge;
    if huge.keys > 0 {
        let have = if huge.keys == 1 { "has" } else { "have" };
        let title = format!("{} {have} more than {} elements.", text::count(huge.keys, "key"), text::grouped(HUGE));
        let elements = text::grouped(huge.detail);
        let detail = format!("The heaviest is {} with {elements} elements.", example(huge));
        let advice = "Commands that go through all of it (HGETALL, SMEMBERS, LRANGE 0 -1, DEL) stop the server \
                      meanwhile. Use SCAN variants and UNLINK, or split it.";
        found.add(Weight::Worthwhile, title, detail, advice);
    }
    let long = &footprint.hints.long_strings;
    if long.keys > 0 {
        let are = if long.keys == 1 { "string is" } else { "strings are" };
        let title = format!("{} {are} longer than {}.", text::grouped(long.keys), text::bytes(LONG));
        let detail = format!("{} in all; the largest is {}.", text::bytes(long.memory), example(long));
        let advice = "Each GET moves all of it. Store it elsewhere, in pieces, or compressed.";
        found.add(Weight::Notable, title, detail, advice);
    }
}

fn small_values(footprint: &Footprint, found: &mut Found) {
    let (short, total) = (&footprint.hints.short_strings, &footprint.total);
    let overhead = short.memory.saturating_sub(footprint.hints.short_content);
    if share(overhead, total.memory) >= 0.2 {
        let title = format!("{} of memory is the overhead of short strings.", percent(share(overhead, total.memory)));
        let each = overhead / short.keys.max(1);
        let detail = format!(
            "{} of at most 64 bytes: {} of names and values, and {} around them ({each} bytes a key).",
            text::count(short.keys, "string"),
            text::bytes(footprint.hints.short_content),
            text::bytes(overhead)
        );
        let advice = "Gather related ones in small hashes (HSET user:17 name …), which are packed.";
        found.add(Weight::Worthwhile, title, detail, advice);
    }
    let names = share(footprint.hints.names, total.memory);
    let each = footprint.hints.names / total.keys.max(1);
    if names >= 0.15 && each >= 30 {
        let title = format!("{} of memory is in the names of keys.", percent(names));
        let detail = format!("They have {each} bytes on average, {} in all.", text::bytes(footprint.hints.names));
        let advice = "Shorten what all of them share, and write ids in binary or base 62 instead of UUIDs as text.";
        found.add(Weight::Notable, title, detail, advice);
    }
}

fn packing(footprint: &Footprint, found: &mut Found) {
    let hints = &footprint.hints;
    let saved = hints.plain.saturating_sub(hints.packed);
    if share(saved, footprint.total.memory) < 0.1 {
        return;
    }
    let title = format!(
        "{} of memory would go if clients compressed long strings.",
        percent(share(saved, footprint.total.memory))
    );
    let ratio = hints.plain as f64 / hints.packed.max(1) as f64;
    let detail = format!(
        "{} of a kilobyte or more take {}; LZF, a weak compression, makes them {ratio:.1} times smaller in this file.",
        text::count(hints.compressible.keys, "string"),
        text::bytes(hints.plain)
    );
    found.add(Weight::Worthwhile, title, detail, "Compress them with zstd or lz4 before SET.");
}

fn idle(footprint: &Footprint, found: &mut Found) {
    let total = footprint.idle.total();
    let old: u64 = footprint.idle.0[5..].iter().map(|tally| tally.memory).sum();
    let part = share(old, total.memory);
    if total.keys > 0 && part >= 0.05 {
        let title = format!("{} of memory has not been used for {} or longer.", percent(part), "30 days");
        let keys: u64 = footprint.idle.0[5..].iter().map(|tally| tally.keys).sum();
        let classes = IDLE_NAMES.len();
        let oldest = text::bytes(footprint.idle.0[classes - 1].memory);
        let detail = format!("{} with {}; {oldest} for a year or more.", text::count(keys, "key"), text::bytes(old));
        found.add(
            Weight::Worthwhile,
            title,
            detail,
            "Expire or archive them: rdbkit keys shows the idle time of each.",
        );
    }
}

fn slots(footprint: &Footprint, found: &mut Found) {
    let heaviest = footprint.slots.heaviest(1);
    let Some(slot) = heaviest.first().filter(|_| footprint.slots.used() >= 100) else { return };
    let part = share(slot.memory, footprint.total.memory);
    // A single key that is as heavy as its slot is said elsewhere.
    if part >= 0.05 && slot.keys >= 10 {
        let title = format!("{} of memory is in one cluster slot, {}.", percent(part), slot.slots.start());
        let detail = format!("{} with {}.", text::count(slot.keys, "key"), text::bytes(slot.memory));
        let advice = "A slot can't be divided among nodes. Look for a hash tag {…} that too many keys share.";
        found.add(Weight::Worthwhile, title, detail, advice);
    }
    let shards = footprint.slots.shards(3);
    if skew(&shards) >= 1.3 {
        let title = format!("Three shards would be uneven: the heaviest has {:.1} times its share.", skew(&shards));
        let parts: Vec<String> = shards.iter().map(|s| text::bytes(s.memory)).collect();
        let advice = "Move slots by memory instead of by number: rdbkit memory shows the heaviest slots.";
        found.add(Weight::Notable, title, format!("They would have {}.", parts.join(", ")), advice);
    }
}

fn databases(footprint: &Footprint, found: &mut Found) {
    if footprint.databases.len() > 1 {
        let title = format!("{} databases are in use.", footprint.databases.len());
        let detail = "A cluster has only database 0 (but for Valkey 9).".to_owned();
        let advice =
            "Before moving to a cluster, put them into one with prefixes: rdbkit convert --db-map, --prefix-add.";
        found.add(Weight::Notable, title, detail, advice);
    }
}
