//! Small dumps made by hand, byte by byte, for what no server would save.

use rdbkit::codec::crc64::jones;

/// A dump of this version with these records, closed by the end mark and the right checksum.
pub(crate) fn dump(version: u32, records: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = format!("REDIS{version:04}").into_bytes();
    records.iter().for_each(|record| bytes.extend_from_slice(record));
    bytes.push(0xff);
    bytes.extend_from_slice(&[0; 8][..if version < 5 { 0 } else { 8 }]);
    reseal(&mut bytes);
    bytes
}

/// Makes the checksum right again, if there is one.
pub(crate) fn reseal(bytes: &mut [u8]) {
    if &bytes[..9] >= b"REDIS0005" {
        let (body, checksum) = bytes.split_last_chunk_mut::<8>().unwrap();
        *checksum = jones(body).to_le_bytes();
    }
}

/// A string with its length in front.
pub(crate) fn text(bytes: &[u8]) -> Vec<u8> {
    let len = bytes.len();
    let head = match len {
        0..64 => vec![len as u8],
        64..0x4000 => vec![0x40 | (len >> 8) as u8, len as u8],
        _ => [vec![0x80], (len as u32).to_be_bytes().to_vec()].concat(),
    };
    [head, bytes.to_vec()].concat()
}

/// A string.
pub(crate) fn string(key: &[u8], value: &[u8]) -> Vec<u8> {
    [vec![0], text(key), text(value)].concat()
}

/// The same with an expiry in front, Unix time in ms.
pub(crate) fn expiring(at: i64, record: Vec<u8>) -> Vec<u8> {
    [vec![0xfc], at.to_le_bytes().to_vec(), record].concat()
}

/// A hash as a table.
pub(crate) fn hash(key: &[u8], fields: &[(&[u8], &[u8])]) -> Vec<u8> {
    let fields_text = fields.iter().flat_map(|(name, value)| [text(name), text(value)].concat());
    [vec![4], text(key), vec![fields.len() as u8], fields_text.collect()].concat()
}

/// A list or set (types 1 and 2) item by item.
pub(crate) fn items(rdb_type: u8, key: &[u8], items: &[&[u8]]) -> Vec<u8> {
    [vec![rdb_type], text(key), vec![items.len() as u8], items.iter().flat_map(|item| text(item)).collect()].concat()
}

/// A sorted set with binary scores.
pub(crate) fn zset(key: &[u8], members: &[(&[u8], f64)]) -> Vec<u8> {
    let pairs = members.iter().flat_map(|(member, score)| [text(member), score.to_le_bytes().to_vec()].concat());
    [vec![5], text(key), vec![members.len() as u8], pairs.collect()].concat()
}

/// An aux field.
pub(crate) fn aux(name: &[u8], value: &[u8]) -> Vec<u8> {
    [vec![0xfa], text(name), text(value)].concat()
}

/// The database that follows.
pub(crate) fn select(db: u8) -> Vec<u8> {
    vec![0xfe, db]
}
