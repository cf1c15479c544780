//! Tests.

use super::*;
use proptest::prelude::*;

fn frames(sender: Sender) -> Frames {
    Frames::new(sender, Reserved::None, 1000)
}

/// A frame of a service with so many bytes.
fn frame(first: u8, payload: usize) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload {
        0..=125 => bytes.push(payload as u8),
        126..=0xffff => {
            bytes.push(126);
            bytes.extend_from_slice(&(payload as u16).to_be_bytes());
        }
        _ => {
            bytes.push(127);
            bytes.extend_from_slice(&(payload as u64).to_be_bytes());
        }
    }
    bytes.extend(std::iter::repeat_n(b'x', payload));
    bytes
}

#[track_caller]
fn passes(of: &mut Frames, bytes: &[u8]) {
    let expected = Verdict {
        pass: bytes.len(),
        violation: None,
    };
    assert_eq!(of.advance(bytes), expected);
}

#[test]
fn messages_pass_in_one_frame_or_several_with_control_frames_between() {
    let mut own = frames(Sender::Service);
    for payload in [0, 1, 125, 126, 1000] {
        passes(&mut own, &frame(0x81, payload));
        passes(&mut own, &frame(0x82, payload));
    }
    let parts = [
        frame(0x01, 300),
        frame(0x89, 5),
        frame(0x00, 300),
        frame(0x8a, 0),
        frame(0x80, 400),
    ];
    passes(&mut own, &parts.concat());
    assert!(own.is_at_boundary());
    passes(&mut own, &frame(0x88, 2));
    let behind = own.advance(&frame(0x81, 5));
    assert_eq!(
        (behind.pass, behind.violation),
        (0, None),
        "what comes behind is ignored"
    );
}

#[test]
fn what_is_malformed_stops_before_its_head() {
    let masked = |first, second: u8| vec![first, second | 0x80, 1, 2, 3, 4, 0, 0, 0, 0];
    for (sender, before, bad) in [
        (Sender::Service, vec![], vec![0xc1, 0]),
        (Sender::Service, vec![], vec![0x91, 0]),
        (Sender::Service, vec![], vec![0x83, 0]),
        (Sender::Service, vec![], vec![0x8b, 0]),
        (Sender::Service, vec![], vec![0x80, 0]),
        (Sender::Service, frame(0x01, 3), vec![0x81, 0]),
        (Sender::Service, frame(0x01, 3), vec![0x82, 0]),
        (Sender::Service, vec![], vec![0x09, 0]),
        (Sender::Service, vec![], vec![0x89, 126, 0, 126]),
        (Sender::Service, vec![], vec![0x88, 1]),
        (Sender::Service, vec![], vec![0x82, 126, 0, 125]),
        (
            Sender::Service,
            vec![],
            vec![0x82, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff],
        ),
        (
            Sender::Service,
            vec![],
            vec![0x82, 127, 0x80, 0, 0, 0, 0, 1, 0, 0],
        ),
        (Sender::Service, vec![], masked(0x81, 4)),
        (Sender::Client, vec![], frame(0x81, 4)),
    ] {
        let mut own = frames(sender);
        passes(&mut own, &before);
        let verdict = own.advance(&bad);
        assert_eq!(verdict.pass, 0, "{bad:x?}");
        assert!(
            matches!(verdict.violation, Some(Violation::Protocol(_))),
            "{bad:x?}"
        );
        assert!(own.is_at_boundary());
    }
    passes(&mut frames(Sender::Client), &masked(0x81, 4));
}

#[test]
fn a_message_is_too_big_as_a_whole() {
    for parts in [vec![frame(0x82, 1001)], vec![frame(0x02, 600), frame(0x80, 401)]] {
        let mut own = frames(Sender::Service);
        let verdict = own.advance(&parts.concat());
        assert_eq!(verdict.violation, Some(Violation::TooBig));
        assert_eq!(verdict.pass, if parts.len() == 2 { parts[0].len() } else { 0 });
    }
    // The next message counts anew.
    let mut own = frames(Sender::Service);
    passes(&mut own, &[frame(0x82, 900), frame(0x82, 900)].concat());
}

#[test]
fn reserved_bits_are_for_what_was_agreed() {
    let (first, inner, control) = (vec![0xc1, 0], vec![0xc0, 0], vec![0xc9, 0]);
    let mut own = Frames::new(Sender::Service, Reserved::Compressed, 1000);
    passes(&mut own, &first);
    passes(&mut own, &frame(0x41, 3));
    assert!(own.advance(&inner).violation.is_some());
    assert!(own.advance(&control).violation.is_some());
    let mut own = Frames::new(Sender::Service, Reserved::Any, 1000);
    passes(&mut own, &frame(0x31, 3));
    passes(&mut own, &inner);
}

#[test]
fn an_end_is_behind_the_frame_under_way() {
    let mut own = frames(Sender::Service);
    let two = [frame(0x82, 10), frame(0x82, 10)].concat();
    assert_eq!(own.advance(&two[..5]).pass, 5);
    assert!(!own.is_at_boundary());
    own.end();
    assert_eq!(own.advance(&two[5..]).pass, 7);
    assert!(own.is_at_boundary());
}

proptest! {
    /// However the bytes are split, the same of them pass.
    #[test]
    fn splits_change_nothing(
        bytes in proptest::collection::vec(prop_oneof![any::<u8>(), Just(0x81), Just(0x82), Just(0), Just(0x89)], 0..200),
        cuts in proptest::collection::vec(1..20_usize, 0..60),
    ) {
        let mut whole = frames(Sender::Service);
        let expected = whole.advance(&bytes);
        let mut own = frames(Sender::Service);
        let (mut held, mut at, mut passed) = (Vec::new(), 0, 0);
        let mut violation = None;
        for cut in cuts.into_iter().chain(std::iter::repeat(200)) {
            let end = (at + cut).min(bytes.len());
            held.extend_from_slice(&bytes[at..end]);
            at = end;
            let verdict = own.advance(&held);
            passed += verdict.pass;
            held.drain(..verdict.pass);
            violation = verdict.violation;
            if violation.is_some() || at == bytes.len() {
                break;
            }
            prop_assert!(held.len() < HEAD_BYTES_MAX || own.ends());
        }
        prop_assert_eq!(passed, expected.pass);
        prop_assert_eq!(violation, expected.violation);
    }
}
