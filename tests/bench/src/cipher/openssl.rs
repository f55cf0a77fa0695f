//! OpenSSL's des-ede3, from the libcrypto of the machine: a peer to measure beside, and nothing
//! that the product uses.

#![allow(unsafe_code)]

use std::ffi::{c_int, c_uchar, c_void};
use std::ptr::{self, NonNull};

use libloading::Library;

/// The names it has on the systems where the benchmark runs.
const NAMES: [&str; 3] = ["libcrypto.so.3", "libcrypto.so.1.1", "libcrypto.3.dylib"];

type Cipher = unsafe extern "C" fn() -> *const c_void;
type NewContext = unsafe extern "C" fn() -> *mut c_void;
type FreeContext = unsafe extern "C" fn(*mut c_void);
type Init = unsafe extern "C" fn(
    *mut c_void,
    *const c_void,
    *mut c_void,
    *const c_uchar,
    *const c_uchar,
) -> c_int;
type Update =
    unsafe extern "C" fn(*mut c_void, *mut c_uchar, *mut c_int, *const c_uchar, c_int) -> c_int;

/// Why OpenSSL is not measured.
#[derive(Debug, thiserror::Error)]
pub enum OpenSslError {
    /// There is none.
    #[error("there is no libcrypto here: install OpenSSL (Debian: libssl3) to compare with it")]
    Absent,
    /// A function is missing.
    #[error("this libcrypto is not that of OpenSSL: {0}")]
    Symbol(#[from] libloading::Error),
    /// It refused.
    #[error(
        "OpenSSL refused des-ede3: its default provider is switched off in this machine's configuration"
    )]
    Refused,
}

/// des-ede3 in ECB mode under one key: OpenSSL has no counter mode of it.
pub(super) struct OpenSsl {
    context: NonNull<c_void>,
    update: Update,
    free: FreeContext,
    /// What the functions are in: closed after them.
    _library: Library,
}

impl OpenSsl {
    /// Loads libcrypto and sets the key.
    ///
    /// # Errors
    /// [`OpenSslError`].
    pub(super) fn new(key: &[u8; 24]) -> Result<Self, OpenSslError> {
        let library = NAMES
            .iter()
            // SAFETY: loading OpenSSL runs its initialization, which may be run at any time.
            .find_map(|name| unsafe { Library::new(*name) }.ok())
            .ok_or(OpenSslError::Absent)?;
        // SAFETY: the types are those of openssl/evp.h, the same since OpenSSL 1.1.
        let (cipher, new, free, init, no_padding, update) = unsafe {
            (
                *library.get::<Cipher>(b"EVP_des_ede3_ecb\0")?,
                *library.get::<NewContext>(b"EVP_CIPHER_CTX_new\0")?,
                *library.get::<FreeContext>(b"EVP_CIPHER_CTX_free\0")?,
                *library.get::<Init>(b"EVP_EncryptInit_ex\0")?,
                *library.get::<unsafe extern "C" fn(*mut c_void, c_int) -> c_int>(
                    b"EVP_CIPHER_CTX_set_padding\0",
                )?,
                *library.get::<Update>(b"EVP_EncryptUpdate\0")?,
            )
        };
        // SAFETY: it takes nothing, and gives a context or null.
        let context = NonNull::new(unsafe { new() }).ok_or(OpenSslError::Refused)?;
        let loaded = Self {
            context,
            update,
            free,
            _library: library,
        };
        // SAFETY: the context is valid, the key has the 24 bytes that the cipher reads, and ECB has
        // no IV.
        let done = unsafe {
            init(
                context.as_ptr(),
                cipher(),
                ptr::null_mut(),
                key.as_ptr(),
                ptr::null(),
            )
        };
        // SAFETY: the context is valid.
        if done != 1 || unsafe { no_padding(context.as_ptr(), 0) } != 1 {
            return Err(OpenSslError::Refused);
        }
        Ok(loaded)
    }

    /// Enciphers `blocks`, whole blocks, into `out`, which is as long. Whether it did.
    pub(super) fn encipher(&mut self, blocks: &[u8], out: &mut [u8]) -> bool {
        let Ok(len) = c_int::try_from(blocks.len()) else {
            return false;
        };
        if out.len() != blocks.len() || !blocks.len().is_multiple_of(8) {
            return false;
        }
        let mut written = 0;
        // SAFETY: the context is valid; of whole blocks without padding it writes as many bytes as
        // it reads.
        let done = unsafe {
            (self.update)(
                self.context.as_ptr(),
                out.as_mut_ptr(),
                &raw mut written,
                blocks.as_ptr(),
                len,
            )
        };
        done == 1 && written == len
    }
}

impl Drop for OpenSsl {
    fn drop(&mut self) {
        // SAFETY: the context came from `EVP_CIPHER_CTX_new`, and nothing uses it after this.
        unsafe { (self.free)(self.context.as_ptr()) };
    }
}
