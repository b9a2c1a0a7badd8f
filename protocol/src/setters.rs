//! The builder setters of option structs: one for each field, with the field's name.
//!
//! They check nothing. The fields stay public, to be read and to be set in place.

/// Writes setters for the fields of the struct whose `impl` it is in.
macro_rules! setters {
    ($($field:ident: $type:ty),* $(,)?) => {$(
        #[doc = concat!("Sets the field of this name, [`", stringify!($field), "`].")]
        #[doc = concat!("\n\n[`", stringify!($field), "`]: field@Self::", stringify!($field))]
        #[must_use]
        pub fn $field(mut self, $field: $type) -> Self {
            self.$field = $field.into();
            self
        }
    )*};
}

pub(crate) use setters;
