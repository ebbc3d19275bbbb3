//! Commands on sorted sets.

use std::borrow::Borrow;

use super::args::{self, Args};
use super::held::Strings;
use super::zset::{Ranked, Zset};
use super::{Dataset, Known, behind_key, known, known_at};
use crate::error::{Error, Result};
use crate::resp::Words;

pub(super) fn command(name: &[u8]) -> Option<Known> {
    match name {
        b"ZADD" => known(4, Dataset::add_scored),
        b"ZINCRBY" => known(4, |data, words| {
            let by = args::float(&words[2])?;
            let zset = data.made::<Zset>(&words[1])?;
            let score = sum(zset.score(&words[3]).unwrap_or(0.0), by)?;
            Ok(zset.set(&words[3], score))
        }),
        b"ZREM" => known(3, |data, words| {
            data.change(&words[1], |zset: &mut Zset| {
                for member in words.from(2) {
                    zset.remove(member);
                }
            })?;
            Ok(())
        }),
        b"ZREMRANGEBYRANK" => known(4, |data, words| data.remove_range(words, Range::ranks)),
        b"ZREMRANGEBYSCORE" => known(4, |data, words| data.remove_range(words, Range::scores)),
        b"ZREMRANGEBYLEX" => known(4, |data, words| data.remove_range(words, Range::members)),
        b"ZPOPMIN" => known(2, |data, words| data.pop_scored(words, false)),
        b"ZPOPMAX" => known(2, |data, words| data.pop_scored(words, true)),
        b"ZMPOP" => known_at(4, 2, Dataset::pop_scored_of_many),
        b"ZRANGESTORE" => known(5, Dataset::store_range),
        b"ZUNIONSTORE" => known(4, |data, words| data.combine_zsets(words, Operation::Union)),
        b"ZINTERSTORE" => known(4, |data, words| data.combine_zsets(words, Operation::Intersection)),
        b"ZDIFFSTORE" => known(4, |data, words| data.combine_zsets(words, Operation::Difference)),
        b"GEOADD" => known(5, Dataset::add_places),
        _ => None,
    }
}

/// A sum of scores, which is always a number.
fn sum(a: f64, b: f64) -> Result<f64> {
    let sum = a + b;
    if sum.is_nan() { Err(Error::unsupported("the score would be no number")) } else { Ok(sum) }
}

/// What ZADD and GEOADD say about members that are there, or not.
#[derive(Default)]
struct AddOptions {
    only_new: bool,
    only_old: bool,
    only_greater: bool,
    only_less: bool,
    increments: bool,
}

impl AddOptions {
    fn read(args: &mut Args<'_>) -> AddOptions {
        let mut options = AddOptions::default();
        loop {
            *match args {
                _ if args.takes("NX") => &mut options.only_new,
                _ if args.takes("XX") => &mut options.only_old,
                _ if args.takes("GT") => &mut options.only_greater,
                _ if args.takes("LT") => &mut options.only_less,
                _ if args.takes("INCR") => &mut options.increments,
                _ if args.takes("CH") => continue,
                _ => return options,
            } = true;
        }
    }

    fn add(&self, zset: &mut Zset, member: &[u8], score: f64) -> Result<()> {
        let score = match zset.score(member) {
            Some(_) if self.only_new => return Ok(()),
            None if self.only_old => return Ok(()),
            Some(old) => {
                let new = if self.increments { sum(old, score)? } else { score };
                if self.only_greater && new <= old || self.only_less && new >= old {
                    return Ok(());
                }
                new
            }
            None => score,
        };
        Ok(zset.set(member, score))
    }
}

/// Which members are meant.
enum Range {
    /// From one place to another, negative ones from the end.
    Ranks(i64, i64),
    Scores(Limit<f64>, Limit<f64>),
    Members(Limit<Vec<u8>>, Limit<Vec<u8>>),
}

/// An end of a range.
enum Limit<T> {
    None,
    With(T),
    Without(T),
}

impl<T> Limit<T> {
    fn is_above<U: PartialOrd + ?Sized>(&self, value: &U) -> bool
    where
        T: Borrow<U>,
    {
        match self {
            Limit::None => false,
            Limit::With(limit) => value < limit.borrow(),
            Limit::Without(limit) => value <= limit.borrow(),
        }
    }

    fn is_below<U: PartialOrd + ?Sized>(&self, value: &U) -> bool
    where
        T: Borrow<U>,
    {
        match self {
            Limit::None => false,
            Limit::With(limit) => value > limit.borrow(),
            Limit::Without(limit) => value >= limit.borrow(),
        }
    }
}

impl Range {
    fn ranks(min: &[u8], max: &[u8]) -> Result<Range> {
        Ok(Range::Ranks(args::integer(min)?, args::integer(max)?))
    }

    fn scores(min: &[u8], max: &[u8]) -> Result<Range> {
        let limit = |word: &[u8]| match word.strip_prefix(b"(") {
            Some(score) => args::float(score).map(Limit::Without),
            None => args::float(word).map(Limit::With),
        };
        Ok(Range::Scores(limit(min)?, limit(max)?))
    }

    fn members(min: &[u8], max: &[u8]) -> Result<Range> {
        if min == b"+" || max == b"-" {
            return Ok(Range::Ranks(1, 0));
        }
        let limit = |word: &[u8]| match word {
            b"-" | b"+" => Ok(Limit::None),
            [b'[', member @ ..] => Ok(Limit::With(member.to_vec())),
            [b'(', member @ ..] => Ok(Limit::Without(member.to_vec())),
            _ => Err(Error::unsupported("a range of members begins and ends with [, (, - or +")),
        };
        Ok(Range::Members(limit(min)?, limit(max)?))
    }

    /// The members in the range, in their order.
    fn of(&self, zset: &mut Zset, reversed: bool) -> Vec<Ranked> {
        let len = zset.len() as i64;
        let ranked = zset.ranked();
        match self {
            Range::Ranks(start, stop) => {
                let place = |n: i64| if n < 0 { n.saturating_add(len) } else { n };
                let (start, stop) = (place(*start).max(0), place(*stop).min(len - 1));
                let (skipped, count) = (start as usize, (stop - start + 1).max(0) as usize);
                match reversed {
                    false => ranked.iter().skip(skipped).take(count).cloned().collect(),
                    true => ranked.iter().rev().skip(skipped).take(count).cloned().collect(),
                }
            }
            Range::Scores(min, max) => {
                let is_in = |r: &&Ranked| !min.is_above(&r.score) && !max.is_below(&r.score);
                ranked.iter().skip_while(|r| min.is_above(&r.score)).take_while(is_in).cloned().collect()
            }
            Range::Members(min, max) => {
                let is_in = |r: &&Ranked| !min.is_above(&*r.member) && !max.is_below(&*r.member);
                ranked.iter().skip_while(|r| min.is_above(&*r.member)).take_while(is_in).cloned().collect()
            }
        }
    }
}

/// What is made of several sorted sets.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Union,
    Intersection,
    Difference,
}

impl Dataset {
    fn add_scored(&mut self, words: &Words) -> Result<()> {
        let mut args = behind_key(words);
        let options = AddOptions::read(&mut args);
        let pairs = args.groups::<2>()?.map(|[score, member]| Ok((args::float(score)?, member)));
        let pairs = pairs.collect::<Result<Vec<_>>>()?;
        self.add_pairs(&words[1], &options, &pairs)
    }

    fn add_pairs(&mut self, key: &[u8], options: &AddOptions, pairs: &[(f64, &[u8])]) -> Result<()> {
        if options.only_old && !self.exists(key) {
            return Ok(());
        }
        let zset = self.made::<Zset>(key)?;
        pairs.iter().try_for_each(|(score, member)| options.add(zset, member, *score))
    }

    fn add_places(&mut self, words: &Words) -> Result<()> {
        let mut args = behind_key(words);
        let options = AddOptions::read(&mut args);
        let places = args.groups::<3>()?.map(|[longitude, latitude, member]| {
            Ok((geohash(args::float(longitude)?, args::float(latitude)?)?, member))
        });
        let places = places.collect::<Result<Vec<_>>>()?;
        self.add_pairs(&words[1], &options, &places)
    }

    fn remove_range(&mut self, words: &Words, range: fn(&[u8], &[u8]) -> Result<Range>) -> Result<()> {
        let range = range(&words[2], &words[3])?;
        self.change(&words[1], |zset: &mut Zset| {
            for ranked in range.of(zset, false) {
                zset.remove(&ranked.member);
            }
        })?;
        Ok(())
    }

    fn pop_scored(&mut self, words: &Words, is_max: bool) -> Result<()> {
        let mut args = behind_key(words);
        let count = if args.is_at_end() { 1 } else { args.count()? };
        args.end()?;
        self.pop_ranked(&words[1], count, is_max)
    }

    fn pop_ranked(&mut self, key: &[u8], count: usize, is_max: bool) -> Result<()> {
        self.change(key, |zset: &mut Zset| {
            let ranked = zset.ranked();
            let popped: Vec<_> = match is_max {
                false => ranked.iter().take(count).cloned().collect(),
                true => ranked.iter().rev().take(count).cloned().collect(),
            };
            for ranked in popped {
                zset.remove(&ranked.member);
            }
        })?;
        Ok(())
    }

    fn pop_scored_of_many(&mut self, words: &Words) -> Result<()> {
        let mut args = Args::new(words, 1);
        let keys = args.counted()?;
        let is_max = match args.takes("MAX") {
            true => true,
            false if args.takes("MIN") => false,
            false => return Err(args.unknown()),
        };
        let count = if args.takes("COUNT") { args.count()? } else { 1 };
        args.end()?;
        match keys.into_iter().find(|key| self.exists(key)) {
            Some(key) => self.pop_ranked(key, count, is_max),
            None => Ok(()),
        }
    }

    fn store_range(&mut self, words: &Words) -> Result<()> {
        let mut args = Args::new(words, 5);
        let (mut by_score, mut by_member, mut reversed, mut limit) = (false, false, false, None);
        while !args.is_at_end() {
            if args.takes("LIMIT") {
                limit = Some((args.int()?, args.int()?));
                continue;
            }
            *match args {
                _ if args.takes("BYSCORE") => &mut by_score,
                _ if args.takes("BYLEX") => &mut by_member,
                _ if args.takes("REV") => &mut reversed,
                _ => return Err(args.unknown()),
            } = true;
        }
        let (mut min, mut max) = (&words[3], &words[4]);
        if reversed && (by_score || by_member) {
            (min, max) = (max, min);
        }
        let range = match (by_score, by_member) {
            (true, false) => Range::scores(min, max),
            (false, true) => Range::members(min, max),
            (false, false) if limit.is_none() => Range::ranks(min, max),
            _ => Err(Error::unsupported("its options exclude each other")),
        }?;
        let mut found = match self.existing::<Zset>(&words[2])? {
            Some(zset) => range.of(zset, reversed && !by_score && !by_member),
            None => Vec::new(),
        };
        if reversed && (by_score || by_member) {
            found.reverse();
        }
        if let Some((offset, count)) = limit {
            let offset = usize::try_from(offset).unwrap_or(usize::MAX).min(found.len());
            found.drain(..offset);
            found.truncate(usize::try_from(count).unwrap_or(usize::MAX));
        }
        let mut zset = Zset::default();
        found.iter().for_each(|ranked| zset.set(&ranked.member, ranked.score));
        self.set_collection(&words[1], zset);
        Ok(())
    }

    fn combine_zsets(&mut self, words: &Words, operation: Operation) -> Result<()> {
        let mut args = behind_key(words);
        let keys = args.counted()?;
        let mut weights = vec![1.0; keys.len()];
        let mut aggregate: fn(f64, f64) -> f64 = add;
        while !args.is_at_end() {
            if args.takes("WEIGHTS") {
                weights.iter_mut().try_for_each(|weight| args.float().map(|n| *weight = n))?;
            } else if args.takes("AGGREGATE") {
                aggregate = match args {
                    _ if args.takes("SUM") => add,
                    _ if args.takes("MIN") => f64::min,
                    _ if args.takes("MAX") => f64::max,
                    _ => return Err(args.unknown()),
                };
            } else {
                return Err(args.unknown());
            }
        }
        let mut inputs = Vec::new();
        for (key, weight) in keys.iter().zip(weights) {
            inputs.push((self.scored(key)?, weight));
        }
        let result = combine(inputs, operation, aggregate);
        self.set_collection(&words[1], result);
        Ok(())
    }

    /// Members and scores of a sorted set, or of a set, whose members count as 1.
    fn scored(&mut self, key: &[u8]) -> Result<Zset> {
        let mut copy = Zset::default();
        if self.find(key).is_some_and(|found| found.value.kind() == crate::model::Kind::Set) {
            if let Some(set) = self.existing::<Strings>(key)? {
                set.iter().for_each(|member| copy.set(member, 1.0));
            }
        } else if let Some(zset) = self.existing::<Zset>(key)? {
            zset.each(|member, score| Ok(copy.set(member, score)))?;
        }
        Ok(copy)
    }
}

/// A sum as servers make it: infinities that cancel each other are 0.
fn add(a: f64, b: f64) -> f64 {
    let sum = a + b;
    if sum.is_nan() { 0.0 } else { sum }
}

fn combine(mut inputs: Vec<(Zset, f64)>, operation: Operation, aggregate: fn(f64, f64) -> f64) -> Zset {
    let weighted = |score: f64, weight: f64| {
        let product = score * weight;
        if product.is_nan() { 0.0 } else { product }
    };
    if operation != Operation::Difference {
        // The smallest first: sums of doubles depend on their order.
        inputs.sort_by_key(|(zset, _)| zset.len());
    }
    let mut inputs = inputs.into_iter();
    let mut result = Zset::default();
    let Some((first, weight)) = inputs.next() else { return result };
    let members = |zset: &Zset| {
        let mut members = Vec::new();
        // Nothing is refused here.
        let _ = zset.each(|member, score| Ok(members.push((member.to_vec(), score))));
        members
    };
    for (member, score) in members(&first) {
        result.set(&member, if operation == Operation::Difference { score } else { weighted(score, weight) });
    }
    for (other, weight) in inputs {
        match operation {
            Operation::Union => {
                for (member, score) in members(&other) {
                    let score = weighted(score, weight);
                    let score = result.score(&member).map_or(score, |old| aggregate(old, score));
                    result.set(&member, score);
                }
            }
            Operation::Intersection => {
                for (member, old) in members(&result) {
                    match other.score(&member) {
                        Some(score) => result.set(&member, aggregate(old, weighted(score, weight))),
                        None => {
                            result.remove(&member);
                        }
                    }
                }
            }
            Operation::Difference => {
                for (member, _) in members(&other) {
                    result.remove(&member);
                }
            }
        }
    }
    result
}

/// The score of a place: 26 bits of each coordinate, interleaved.
fn geohash(longitude: f64, latitude: f64) -> Result<f64> {
    const MAX_LATITUDE: f64 = 85.051_128_78;
    if !(-180.0..=180.0).contains(&longitude) || !(-MAX_LATITUDE..=MAX_LATITUDE).contains(&latitude) {
        return Err(Error::unsupported(format!("there is no place {longitude}, {latitude}")));
    }
    let steps = |offset: f64| (offset * f64::from(1 << 26)) as u32;
    let spread = |n: u32| (0..32).fold(0_u64, |bits, i| bits | u64::from(n >> i & 1) << (2 * i));
    let (x, y) = (steps((longitude + 180.0) / 360.0), steps((latitude + MAX_LATITUDE) / (2.0 * MAX_LATITUDE)));
    Ok((spread(y) | spread(x) << 1) as f64)
}
