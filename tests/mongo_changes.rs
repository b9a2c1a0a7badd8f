//! Change streams by callback: a real replica set, and positions in a real bucket.

#[path = "mongo_changes/contract.rs"]
mod contract;
#[path = "mongo_changes/delivery.rs"]
mod delivery;
#[path = "mongo_changes/failures.rs"]
mod failures;
#[path = "mongo_changes/handlers.rs"]
mod handlers;
#[path = "mongo_changes/invalidates.rs"]
mod invalidates;
#[path = "mongo_changes/lost_history.rs"]
mod lost_history;
#[path = "mongo_changes/positions.rs"]
mod positions;
#[path = "mongo_changes/pre_images.rs"]
mod pre_images;
#[path = "mongo_changes/seed_order.rs"]
mod seed_order;
#[path = "support/storage.rs"]
mod storage;
#[path = "mongo_changes/stores.rs"]
mod stores;
mod support;
#[path = "mongo_changes/world.rs"]
mod world;
