//! Certificates and keys in files (PEM). A file without any is an error: nothing else would say why nobody is believed.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::fmt::Display;
use std::path::Path;

pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).map_err(|error| at(path, &error))?.collect();
    let found = found.map_err(|error| at(path, &error))?;
    if found.is_empty() { Err(at(path, &"no certificate in it")) } else { Ok(found) }
}

pub fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| at(path, &error))
}

/// A sentence about a file.
pub fn at(path: &Path, error: &dyn Display) -> String {
    format!("{}: {error}", path.display())
}
