//! Collections that keep documents as they were before a change.

use super::world::World;
use evnats::mongo::BeforeChange;
use evnats::mongo::bson::doc;
use evnats_harness::mongo_database;
use std::cell::RefCell;
use std::rc::Rc;

fn ensure(world: &World) -> bool {
    let outcome = Rc::new(RefCell::new(None));
    let seen = outcome.clone();
    let name = world.database.clone();
    world.mongo.ensure_pre_images(name, "orders", move |(), _, ensured| {
        drop(seen.replace(Some(ensured)));
    });
    world.until("an outcome", || outcome.borrow().is_some());
    outcome.take().expect("an outcome").expect("a success")
}

#[test]
fn pre_images_are_turned_on_where_they_are_not() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    assert!(ensure(&world), "created");
    assert!(!ensure(&world));
    world.command(doc! { "drop": "orders" });
    world.insert(0..1);
    assert!(ensure(&world), "one that was created again has lost the setting");
    assert!(!ensure(&world));
    let stream = world.stream().full_document_before_change(BeforeChange::Required);
    let (watcher, told) = world.watch(stream, world.store());
    world.until("the stream", || told.is_live());
    world.command(doc! { "delete": "orders", "deletes": [{ "q": { "_id": 0 }, "limit": 1 }] });
    world.until("the deletion", || told.ids() == [0]);
    let before = told.events.borrow()[0].full_document_before_change().map(|row| row.to_owned());
    assert_eq!(
        before.and_then(|row| row.get_str("state").ok().map(str::to_owned)),
        Some("open".into())
    );
    world.stop(&watcher, &told);
}
