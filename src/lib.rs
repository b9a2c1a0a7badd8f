//! A stand-in replaced in this commit series.
