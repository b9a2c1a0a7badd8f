//! An account whose limits depend on the number of replicas.

use evnats::jetstream::{AccountInfo, AccountTier, ErrorCode, StreamConfig};
use evnats::{Client, Credentials, Options};
use evnats_harness::{Operator, Server, Tier, UserClaims};

use super::code;
use super::support::{Log, run_with};

const MIB: u64 = 1 << 20;

fn config(name: &str) -> StreamConfig {
    StreamConfig::new(name).max_bytes(MIB)
}

/// A client of an account with two tiers.
fn with_tiers(setup: impl FnOnce(&Client<Log>)) -> Log {
    let tier = |name, storage, streams| Tier { name, memory: 0, storage, streams, consumers: -1 };
    let operator = Operator::new().tiers([tier("R1", 4 << 20, 2), tier("R3", 8 << 20, -1)]);
    let server = Server::builder().config(operator.server_config()).start().expect("a server");
    let user = operator.user(UserClaims::default());
    let credentials = Credentials::jwt(&user.jwt, &user.seed).expect("credentials");
    run_with(Options::new(server.url()).credentials(credentials), setup)
}

fn tiers(info: &AccountInfo) -> [&AccountTier; 2] {
    ["R1", "R3"].map(|name| info.tiers.get(name).unwrap_or_else(|| panic!("no {name}: {info:?}")))
}

#[test]
fn account_info_has_the_limits_and_the_use_of_each_tier() {
    with_tiers(|nats| {
        nats.jetstream().create_stream(&config("FIRST"), |_, js, created| {
            created?;
            js.account_info(|_, js, info| {
                let info = info?;
                let [one, three] = tiers(&info);
                let limits =
                    |tier: &AccountTier| (tier.limits.max_storage, tier.limits.max_streams);
                assert_eq!(limits(one), (Some(4 * MIB), Some(2)));
                assert_eq!(limits(three), (Some(8 * MIB), None));
                assert_eq!((one.limits.max_memory, one.limits.max_consumers), (Some(0), None));
                assert_eq!((one.streams, three.streams), (1, 0), "{info:?}");
                let overall = &info.usage.limits;
                assert_eq!((overall.max_storage, overall.max_streams), (Some(0), Some(0)));
                js.client().close();
                Ok(())
            });
            Ok(())
        });
    });
}

#[test]
fn what_goes_beyond_a_tier_is_refused_with_its_code() {
    let log = with_tiers(|nats| {
        let js = nats.jetstream();
        let large = StreamConfig::new("LARGE").max_bytes(5 * MIB);
        js.create_stream(&large, |_, js, created| {
            assert_eq!(code(created), ErrorCode::STORAGE_RESOURCES_EXCEEDED);
            js.create_stream(&config("FIRST"), |_, js, created| {
                created.expect("the first one");
                js.create_stream(&config("SECOND"), |_, js, created| {
                    created.expect("the second one");
                    js.create_stream(&config("THIRD"), |log: &mut Log, js, created| {
                        log.push(format!("{:?}", code(created)));
                        js.client().close();
                    });
                });
            });
        });
    });
    assert_eq!(log, [format!("{:?}", ErrorCode::MAXIMUM_STREAMS)]);
}
