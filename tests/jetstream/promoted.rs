//! Mirrors that become streams of their own.

use super::level;
use crate::support::{Log, run, unique};
use evnats::jetstream::{Error, ErrorCode, Source, Stream, StreamConfig, StreamInfo};

/// Asks until the mirror has so many messages, and goes on.
fn when_copied(
    mirror: &Stream<Log>,
    messages: u64,
    go_on: impl FnOnce(&Stream<Log>, StreamInfo) + 'static,
) {
    mirror.info(move |_, mirror, info| match info.expect("a mirror") {
        info if info.state.messages == messages => go_on(mirror, info),
        _ => when_copied(mirror, messages, go_on),
    });
}

#[test]
fn a_mirror_becomes_a_stream_of_its_own_when_its_origin_is_gone() {
    let (origin, mirror) = (unique("O"), unique("M"));
    let _: Log = run(|nats| {
        let (origin, mirror) = (nats.jetstream().stream(&origin), nats.jetstream().stream(&mirror));
        let subject: &'static str = format!("{}.a", origin.name()).leak();
        let config = StreamConfig::default().subjects([subject]);
        let source = Source::new(origin.name());
        origin.create(&config, move |_, origin, created| {
            created.expect("an origin");
            origin.jetstream().publish(subject, "1", |_, _, stored| assert!(stored.is_ok()));
            origin.promote_mirror(&[subject], |_, origin, promoted| {
                let stream = origin.name().to_owned();
                assert_eq!(promoted, Err(Error::NotMirror { stream }));
            });
            let (config, origin) = (StreamConfig::default().mirror(source), origin.clone());
            mirror.create(&config, move |_, mirror, created| {
                created.expect("a mirror");
                when_copied(mirror, 1, move |mirror, _| promote(&origin, mirror, subject));
            });
        });
    });
}

fn promote(origin: &Stream<Log>, mirror: &Stream<Log>, subject: &'static str) {
    let origin = origin.clone();
    mirror.promote_mirror(&[subject], move |_, mirror, promoted| {
        if level() < 2 {
            let (feature, has) = ("promote_mirror", level());
            assert_eq!(promoted, Err(Error::Unsupported { feature, needs: 2, has }));
            return mirror.client().close();
        }
        let error = promoted.expect_err("the origin has the subject");
        let code = error.api().expect("the server's words").err_code();
        assert_eq!(code, ErrorCode::SUBJECTS_OVERLAP);
        let mirror = mirror.clone();
        origin.delete(move |_, _, deleted| {
            deleted.expect("deleted");
            mirror.promote_mirror(&[subject], move |_, mirror, promoted| {
                let info = promoted.expect("promoted");
                assert_eq!(
                    (info.config.mirror, info.config.subjects),
                    (None, vec![subject.into()])
                );
                assert!(!info.config.mirror_direct);
                let mirror = mirror.clone();
                mirror.jetstream().clone().publish(subject, "2", move |_, _, stored| {
                    let stored = stored.expect("stored");
                    assert_eq!((&*stored.stream, stored.sequence), (mirror.name(), 2));
                    super::handles::end(&mirror);
                });
            });
        });
    });
}
