//! Asking about the account.

use super::account_info::AccountInfo;
use crate::callback::{Callback, answer};
use crate::jetstream::api::ApiRequest;
use crate::jetstream::error::Error;
use crate::jetstream::handle::JetStream;

impl<S: 'static> JetStream<S> {
    /// Asks what the account uses of JetStream and how much it may use. Without an answer, as in an
    /// election, it is asked again within the timeout.
    ///
    /// # Errors
    /// [`Error::NotEnabled`] if JetStream is switched off for the account, [`Error::NotAvailable`]
    /// if nobody answers on the API.
    #[doc(alias = "AccountInfo")]
    pub fn account_info(
        &self,
        callback: impl Callback<S, JetStream<S>, Result<AccountInfo, Error>>,
    ) {
        self.api().read(Ok(ApiRequest::account_info()), answer(self, callback));
    }
}
