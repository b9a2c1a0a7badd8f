//! A command that has come to a stand-in.

use crate::mongo::message::Message;
use bson::Document;

/// A command.
#[derive(Debug)]
pub struct Request {
    connection: usize,
    pub(super) port: u16,
    pub(super) message: Message,
}

impl Request {
    pub(super) fn new(connection: usize, port: u16, message: Message) -> Request {
        Request { connection, port, message }
    }

    /// Its name, such as `getMore`.
    #[must_use]
    pub fn command(&self) -> &str {
        self.body().keys().next().map_or("", String::as_str)
    }

    /// The whole command. Documents that came beside it, as those of an `insert` do, are in it.
    #[must_use]
    pub fn body(&self) -> &Document {
        &self.message.body
    }

    /// The database that it is for.
    #[must_use]
    pub fn database(&self) -> &str {
        self.body().get_str("$db").unwrap_or_default()
    }

    /// Which connection it has come by, from 0.
    #[must_use]
    pub fn connection(&self) -> usize {
        self.connection
    }

    /// The stage `$changeStream` of an `aggregate`, with the point that it starts from.
    #[must_use]
    pub fn change_stream(&self) -> Option<&Document> {
        let stage = self.body().get_array("pipeline").ok()?.first()?.as_document()?;
        stage.get_document("$changeStream").ok()
    }

    /// The namespace of the cursor that the command opens or reads.
    pub(super) fn namespace(&self) -> String {
        let named = self.body().get_str("collection");
        let collection = named.or_else(|_| self.body().get_str(self.command()));
        format!("{}.{}", self.database(), collection.unwrap_or("$cmd.aggregate"))
    }
}
