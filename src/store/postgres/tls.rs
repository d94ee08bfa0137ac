//! TLS to the database, as libpq's `sslmode` and `sslrootcert` say.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::store::StoreError;

/// Whose certificate is good.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Trust {
    /// Anybody's: encrypted, but not against somebody who can put himself in between.
    Anybody,
    /// One that these vouch for, whatever its name.
    Chain(PathBuf),
    /// One that these vouch for, with the host's name in it.
    Name(Roots),
}

/// Who vouches for certificates.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Roots {
    /// The system's certificate authorities.
    System,
    /// Those in a PEM file.
    File(PathBuf),
}

/// Makes what connections are encrypted with. Reads the CA file.
pub(super) fn connector(trust: &Trust) -> Result<MakeRustlsConnect, StoreError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier: Arc<dyn ServerCertVerifier> = match trust {
        Trust::Name(Roots::System) => Arc::new(
            rustls_platform_verifier::Verifier::new(Arc::clone(&provider))
                .map_err(|error| unusable(&format!("the system's certificate authorities can not be read: {error}")))?,
        ),
        Trust::Anybody => Arc::new(Verify { provider: Arc::clone(&provider), roots: None, name: false }),
        Trust::Chain(file) => {
            Arc::new(Verify { provider: Arc::clone(&provider), roots: Some(read_roots(file)?), name: false })
        }
        Trust::Name(Roots::File(file)) => {
            Arc::new(Verify { provider: Arc::clone(&provider), roots: Some(read_roots(file)?), name: true })
        }
    };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    // What a server asks for that was told to begin with TLS at once (sslnegotiation=direct).
    config.alpn_protocols = vec![b"postgresql".to_vec()];
    Ok(MakeRustlsConnect::new(config))
}

fn unusable(why: &str) -> StoreError {
    StoreError::Unusable(format!("TLS to the database: {why}"))
}

#[derive(Debug)]
struct File {
    roots: RootCertStore,
    /// The same as they stand in the file.
    certificates: Vec<CertificateDer<'static>>,
}

fn read_roots(file: &Path) -> Result<File, StoreError> {
    let wrong = |why: &dyn std::fmt::Display| unusable(&format!("sslrootcert {}: {why}", file.display()));
    let mut certificates = Vec::new();
    for certificate in CertificateDer::pem_file_iter(file).map_err(|error| wrong(&error))? {
        certificates.push(certificate.map_err(|error| wrong(&error))?);
    }
    let mut roots = RootCertStore::empty();
    for certificate in &certificates {
        roots.add(certificate.clone()).map_err(|error| wrong(&error))?;
    }
    if certificates.is_empty() {
        return Err(wrong(&"there is no certificate in it"));
    }
    Ok(File { roots, certificates })
}

/// Verifies as libpq does.
#[derive(Debug)]
struct Verify {
    provider: Arc<CryptoProvider>,
    /// `None` for anybody.
    roots: Option<File>,
    name: bool,
}

impl ServerCertVerifier for Verify {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(file) = &self.roots else { return Ok(ServerCertVerified::assertion()) };
        let certificate = ParsedCertificate::try_from(end_entity)?;
        // A server's self-signed certificate that is itself the file: it can not vouch for another, but it is the one.
        if !file.certificates.iter().any(|known| known == end_entity) {
            let algorithms = self.provider.signature_verification_algorithms.all;
            verify_server_cert_signed_by_trust_anchor(&certificate, &file.roots, intermediates, now, algorithms)?;
        }
        if self.name {
            verify_server_name(&certificate, server_name)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        self.lenient(verify_tls12_signature(message, certificate, signed, algorithms))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        self.lenient(verify_tls13_signature(message, certificate, signed, algorithms))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

impl Verify {
    /// Where nobody's certificate is checked, one that can not even be read (version 1 is what an old recipe for
    /// self-made ones gives) is no worse than any other.
    fn lenient(&self, valid: Result<HandshakeSignatureValid, Error>) -> Result<HandshakeSignatureValid, Error> {
        match valid {
            Err(Error::InvalidCertificate(why)) if self.roots.is_none() && why != CertificateError::BadSignature => {
                Ok(HandshakeSignatureValid::assertion())
            }
            other => other,
        }
    }
}
