//! `repair --salvage-elements` over dumps of real servers: what is kept of a damaged value was saved so.
//! `RDBKIT_DAMAGE=full` damages every dump of the corpus in many more places; `RDBKIT_CORPUS=FOLDER` studies a larger one.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::num::NonZeroUsize;
use std::path::Path;

use rdbkit::codec::stream::Part;
use rdbkit::model::{Element, Entry, RdbType, Record, Scratch};
use rdbkit::pipeline::Output;
use rdbkit::rdb::Reader;
use rdbkit::repair::{Fate, Repair, Repairs};

use crate::corpus::cases;
use crate::damage::{Random, is_full, unsealed};
use crate::harness::{folder, read};

/// A key: its database and name.
type Place = (u64, Vec<u8>);

/// A collection.
struct Saved {
    rdb_type: RdbType,
    /// Its elements as text.
    elements: Vec<String>,
    /// Where its record begins.
    start: usize,
    end: usize,
}

fn text(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

/// The elements of a value; nothing for what is no collection.
fn elements(entry: &Entry<'_>, scratch: &mut Scratch) -> Option<Vec<String>> {
    let mut all = Vec::<String>::new();
    let walked = entry.value.each(scratch, |element| {
        match element {
            Element::Item(_) if entry.value.rdb_type == RdbType::String => {}
            Element::Stream(Part::Entry(id)) => all.push(id.to_string()),
            Element::Stream(Part::Field { name, value }) => {
                let entry = all.last_mut().expect("a field belongs to an entry");
                write!(entry, " {}={}", text(name), text(value)).unwrap();
            }
            Element::Item(item) => all.push(text(item)),
            Element::Expiring { member, expiry } => all.push(format!("{} {expiry:?}", text(member))),
            Element::Scored { member, score } => all.push(format!("{} {score}", text(member))),
            Element::Field { name, value, expiry } => {
                all.push(format!("{}={} {expiry:?}", text(name), text(value)));
            }
            _ => {}
        }
        Ok(())
    });
    walked.ok().filter(|()| !all.is_empty()).map(|()| all)
}

fn collections(bytes: &[u8]) -> BTreeMap<Place, Saved> {
    let mut reader = Reader::new(Box::new(std::io::Cursor::new(bytes.to_vec()))).unwrap();
    reader.verify(false);
    let (mut all, mut starts) = (BTreeMap::new(), Vec::new());
    let visit = |record: Record<'_>, scratch: &mut Scratch| {
        if let Record::Entry(entry) = record {
            let start = usize::try_from(entry.offset).unwrap();
            starts.push(start);
            if let Some(elements) = elements(&entry, scratch) {
                let saved = Saved { rdb_type: entry.value.rdb_type, elements, start, end: bytes.len() - 9 };
                all.insert((entry.db, entry.key.to_vec()), saved);
            }
        }
        Ok(())
    };
    reader.each(visit).unwrap();
    for saved in all.values_mut() {
        if let Some(next) = starts.iter().find(|start| **start > saved.start) {
            saved.end = *next;
        }
    }
    all
}

/// The keys of which a repair says that it has kept some elements, and the repaired dump.
fn repaired(folder: &Path, damaged: &[u8]) -> Option<(Vec<Place>, Vec<u8>)> {
    let (input, made) = (folder.join("damaged.rdb"), folder.join("repaired.rdb"));
    std::fs::write(&input, damaged).unwrap();
    let repairs = Repairs { salvage_elements: true, ..Repairs::default() };
    let repair = Repair::open(&input, repairs).ok()?;
    let mut output = Output::create(Some(&made), true).unwrap();
    let mut changed = Vec::new();
    let told = &mut |left: &rdbkit::repair::Left| {
        if left.fate == Fate::Changed {
            changed.extend(left.key.clone());
        }
        Ok(())
    };
    repair.run(NonZeroUsize::MIN, &mut output, told).unwrap();
    output.finish().unwrap();
    Some((changed, read(&made)))
}

/// What came of damage to values of one type.
#[derive(Default, Debug)]
struct Tally {
    damaged: u64,
    rescued: u64,
    /// Elements of those that were rescued, and those of them that were kept.
    elements: u64,
    kept: u64,
    invented: u64,
}

/// Damages the value in one place: a byte, or ten in a row.
fn damage(bytes: &[u8], saved: &Saved, random: &mut Random) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let at = saved.start + random.below(saved.end - saved.start);
    match random.below(2) {
        0 => bytes[at] ^= 1 + random.below(255) as u8,
        _ => {
            let end = saved.end.min(at + 10);
            bytes[at..end].iter_mut().for_each(|byte| *byte = random.below(256) as u8);
        }
    }
    bytes
}

/// How many of the elements are none that were saved, in this order.
fn invented(elements: &[String], saved: &Saved) -> u64 {
    let is_ordered = saved.rdb_type.kind() == rdbkit::model::Kind::List;
    let mut rest = saved.elements.iter();
    let is_saved = |element: &&String| match is_ordered {
        true => rest.any(|other| other == *element),
        false => saved.elements.contains(element),
    };
    elements.len() as u64 - elements.iter().filter(is_saved).count() as u64
}

#[test]
fn kept_elements_are_those_that_were_saved() {
    let times = if is_full() { 12 } else { 2 };
    let limit = if is_full() { 400 << 10 } else { 30 << 10 };
    let folder = folder();
    let (mut tallies, mut wrong) = (BTreeMap::<String, Tally>::new(), Vec::new());
    let mut random = Random(11);
    for case in cases() {
        let bytes = case.bytes();
        if bytes.len() > limit || case.id().contains("4.0-rc2/modules") {
            continue;
        }
        let bytes = unsealed(&bytes);
        for (place, saved) in collections(&bytes) {
            for _ in 0..times {
                let damaged = damage(&bytes, &saved, &mut random);
                let Some((changed, made)) = repaired(folder.path(), &damaged) else { continue };
                let tally = tallies.entry(format!("{:?}", saved.rdb_type)).or_default();
                tally.damaged += 1;
                if !changed.contains(&place) {
                    continue;
                }
                let after = collections(&made);
                let kept = &after.get(&place).expect("what was changed is in the output").elements;
                let count = invented(kept, &saved);
                tally.rescued += 1;
                tally.elements += saved.elements.len() as u64;
                tally.kept += kept.len() as u64;
                tally.invented += count;
                if count > 0 {
                    let key = String::from_utf8_lossy(&place.1);
                    let (rdb_type, before) = (saved.rdb_type, &saved.elements);
                    wrong.push(format!("{} {key} {rdb_type:?}: {count} in {kept:?}\n of {before:?}", case.id()));
                }
            }
        }
    }
    for (rdb_type, tally) in &tallies {
        println!("{rdb_type}: {tally:?}");
    }
    for rdb_type in ["HashZiplist", "ZsetZiplist", "ListZiplist", "ListQuicklist", "Hash", "Set", "Zset", "List"] {
        assert!(tallies[rdb_type].kept > 0, "{rdb_type}: {:?}", tallies[rdb_type]);
    }
    // Bytes that were overwritten may look like elements by chance.
    let (kept, invented) = tallies.values().fold((0, 0), |sum, tally| (sum.0 + tally.kept, sum.1 + tally.invented));
    assert!(
        invented <= kept / 10_000,
        "{} values with elements that were never saved:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
