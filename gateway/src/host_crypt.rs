//! The host's own crypt(3), found when it is needed: every hash that lets somebody log in here can
//! be checked, whatever its scheme.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::fmt;
use std::hint::black_box;

use libloading::os::unix::Library;
use zeroize::Zeroizing;

/// Where it is: libxcrypt under its own number and under that of glibc, whose place it took.
const LIBRARIES: [&str; 2] = ["libcrypt.so.2", "libcrypt.so.1"];

/// Words of working memory: 256 KiB. `struct crypt_data` has 32 KiB in libxcrypt and 128 KiB in
/// glibc before 2.28.
const WORKING_WORDS: usize = 32 * 1024;

/// `char *crypt_r(const char *phrase, const char *setting, struct crypt_data *data)`
type CryptR = unsafe extern "C" fn(*const c_char, *const c_char, *mut c_void) -> *mut c_char;

/// `char *crypt_rn(const char *phrase, const char *setting, void *data, int size)`
type CryptRn =
    unsafe extern "C" fn(*const c_char, *const c_char, *mut c_void, c_int) -> *mut c_char;

/// The library, with the function of it that is called.
pub(crate) struct HostCrypt {
    function: Function,
    /// Never closed before `function` is gone.
    _library: Library,
}

enum Function {
    R(CryptR),
    Rn(CryptRn),
}

impl HostCrypt {
    /// Loads the library; `None` where the host has none, or this program cannot load any.
    pub(crate) fn load() -> Option<Self> {
        LIBRARIES.into_iter().find_map(Self::load_as)
    }

    fn load_as(name: &str) -> Option<Self> {
        // SAFETY: to load a library runs its initializers. These are libraries of the C library's
        // or libxcrypt's makers by their well-known names, found where the loader finds those of
        // every program of this host; their initializers have no preconditions.
        let library = unsafe { Library::new(name) }.ok()?;
        // SAFETY: under these names both libraries have functions of just these types (crypt(3)).
        // The pointers are used only while `library`, which stands beside them, is open.
        let function = unsafe {
            match library.get::<CryptRn>(b"crypt_rn\0") {
                Ok(function) => Function::Rn(*function),
                Err(_) => Function::R(*library.get::<CryptR>(b"crypt_r\0").ok()?),
            }
        };
        Some(Self {
            function,
            _library: library,
        })
    }

    /// Whether a password has this hash; `None` where the library does not know the hash's scheme,
    /// or takes no such password. It takes as long as the hash's own parameters say.
    pub(crate) fn fits(&self, password: &[u8], hash: &str) -> Option<bool> {
        let made = self.crypt(password, hash)?;
        Some(equal(&made, hash.as_bytes()))
    }

    /// What crypt(3) makes of a password with the parameters and the salt of `setting`.
    pub(crate) fn crypt(&self, password: &[u8], setting: &str) -> Option<Zeroizing<Vec<u8>>> {
        // In one piece: what grows leaves copies behind.
        let mut phrase = Zeroizing::new(Vec::with_capacity(password.len() + 1));
        phrase.extend_from_slice(password);
        phrase.push(0);
        let phrase = CStr::from_bytes_with_nul(&phrase).ok()?;
        let setting = CString::new(setting).ok()?;
        let mut data = Zeroizing::new(vec![0u64; WORKING_WORDS]);
        let working = data.as_mut_ptr().cast::<c_void>();
        let size = c_int::try_from(WORKING_WORDS * size_of::<u64>()).ok()?;
        // SAFETY: `phrase` and `setting` end with NUL and live until the call returns. `working` is
        // zeroed, as the functions ask for at their first call with it, aligned for every field,
        // used by this call alone, and larger than `struct crypt_data` of any of the libraries.
        // Both functions may be called from several threads at once (crypt(3), "MT-Safe").
        let made = unsafe {
            match self.function {
                Function::R(crypt_r) => crypt_r(phrase.as_ptr(), setting.as_ptr(), working),
                Function::Rn(crypt_rn) => {
                    crypt_rn(phrase.as_ptr(), setting.as_ptr(), working, size)
                }
            }
        };
        if made.is_null() {
            return None;
        }
        // SAFETY: a result that is not null points to a text that ends with NUL and lies in
        // `working`, which still lives.
        let made = unsafe { CStr::from_ptr(made) }.to_bytes();
        // `*0` and `*1` say that it failed, where it is not said by null.
        let failed = made.is_empty() || made.starts_with(b"*");
        (!failed).then(|| Zeroizing::new(made.to_vec()))
    }
}

impl fmt::Debug for HostCrypt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HostCrypt")
    }
}

/// Compares without telling by its time where two texts differ.
fn equal(left: &[u8], right: &[u8]) -> bool {
    let pairs = left.iter().zip(right);
    let differences = pairs.fold(0, |all, (left, right)| black_box(all | (left ^ right)));
    left.len() == right.len() && differences == 0
}
