//! What must hold for any bytes at all. The fuzz targets under `fuzz/` and the short form beside this file run
//! the same functions, over the public interface only.

use bytes::BufMut;
use holdfast_resp::{
    CommandDecoder, DecodeLimits, DecodeScratch, Proto, ProtocolError, Reply, decode_value, encode_command,
    split_args,
};

type Commands = Vec<Vec<Vec<u8>>>;

/// A stream of commands. The first bytes choose the limits and how the rest is cut into reads.
///
/// However it is cut, the same commands come out and the same error ends it; nothing is held that was not
/// received; and what was decoded is decoded again from its canonical form.
pub fn commands(data: &[u8]) {
    let Some((&[flags, seed @ ..], stream)) = data.split_first_chunk::<5>() else {
        return;
    };
    let limits = DecodeLimits {
        authenticated: flags & 1 == 0,
        max_inline_len: if flags & 2 == 0 { 40 } else { 64 << 10 },
        max_query_buffer: if flags & 4 == 0 { 200 } else { 1 << 30 },
        max_bulk_len: if flags & 8 == 0 { 100_000 } else { 512 << 20 },
    };
    let whole = decode(&[stream], &limits);
    let pieces = cut(stream, u32::from_le_bytes(seed));
    assert_eq!(
        whole,
        decode(&pieces, &limits),
        "cut into {:?}",
        pieces.iter().map(|p| p.len()).collect::<Vec<_>>()
    );

    let mut canonical = Vec::new();
    for command in &whole.0 {
        encode_command(
            &mut canonical,
            &command.iter().map(Vec::as_slice).collect::<Vec<_>>(),
        );
    }
    assert_eq!(decode(&[&canonical], &DecodeLimits::default()), (whole.0, None));
}

/// A line, as an inline command and as the line of a config file: the same words.
pub fn lines(line: &[u8]) {
    let words = split_args(line);
    let starts_otherwise = matches!(line.first(), None | Some(b'*'));
    if starts_otherwise || line.contains(&b'\n') || line.len() > 64 << 10 {
        return;
    }
    let expected = match words {
        None => (Vec::new(), Some(ProtocolError::UnbalancedQuotes)),
        Some(words) if words.is_empty() => (Vec::new(), None),
        Some(words) => (vec![words], None),
    };
    assert_eq!(decode(&[line, b"\r\n"], &DecodeLimits::default()), expected);
}

/// A reply: what is read can be written, and reads the same again.
pub fn values(data: &[u8]) {
    let Ok(Some((value, len))) = decode_value(data) else {
        return;
    };
    assert!(len <= data.len());
    let _ = value.to_string();
    for proto in [Proto::Resp2, Proto::Resp3] {
        let written = |value: &holdfast_resp::Value| {
            let mut reply = Reply::new(Vec::new(), proto);
            value.write(&mut reply);
            reply.into_inner()
        };
        let first = written(&value);
        let (again, len) = decode_value(&first).expect("our own bytes").expect("whole");
        assert_eq!((len, written(&again)), (first.len(), first));
    }
}

/// The commands in `reads` and the error that ended them. Where the decoder offers its own buffer, bytes go there.
fn decode(reads: &[&[u8]], limits: &DecodeLimits) -> (Commands, Option<ProtocolError>) {
    let (mut decoder, mut scratch) = (CommandDecoder::new(), DecodeScratch::new());
    let (mut commands, mut received) = (Vec::new(), 0);
    for read in reads {
        let mut rest = *read;
        received += rest.len();
        loop {
            if let Some(mut big) = decoder.big_buf() {
                let (now, later) = rest.split_at(big.remaining_mut().min(rest.len()));
                big.put_slice(now);
                rest = later;
            }
            loop {
                match decoder.next(&mut rest, &mut scratch, limits) {
                    Ok(Some(frame)) => {
                        let args = frame.iter().map(<[u8]>::to_vec).collect::<Vec<_>>();
                        let owned = frame.to_owned();
                        assert!(owned.frame().expect("never empty").iter().eq(frame.iter()));
                        commands.push(args);
                    }
                    Ok(None) => break,
                    Err(error) => return (commands, Some(error)),
                }
            }
            assert!(decoder.buffered() <= received);
            if rest.is_empty() {
                break;
            }
        }
    }
    (commands, None)
}

/// Cuts `stream` at places that `seed` decides: mostly short reads, now and then a long one.
fn cut(stream: &[u8], seed: u32) -> Vec<&[u8]> {
    let (mut rest, mut reads, mut state) = (stream, Vec::new(), u64::from(seed));
    while !rest.is_empty() {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        let longest = if state >> 61 == 0 { 50_000 } else { 20 };
        let (read, later) = rest.split_at(((state >> 32) as usize % longest + 1).min(rest.len()));
        reads.push(read);
        rest = later;
    }
    reads
}
