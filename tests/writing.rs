//! RDB files that are written: copies, conversions, imports, parts.
