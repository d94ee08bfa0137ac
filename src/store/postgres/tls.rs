//! TLS to the database, as libpq's `sslmode` and `sslrootcert` say.
