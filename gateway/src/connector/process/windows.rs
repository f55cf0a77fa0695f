//! A program and its children as a job object.
#![allow(unsafe_code)]

use std::io;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::process::ExitStatus;

use tokio::process::{Child, Command};
use windows_sys::Win32::Foundation::HANDLE;
use windows_sys::Win32::System::JobObjects::{
    AssignProcessToJobObject, CreateJobObjectW, JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE,
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION, JobObjectExtendedLimitInformation,
    SetInformationJobObject, TerminateJobObject,
};

/// `CREATE_NO_WINDOW`: a service has no console to lend.
const NO_WINDOW: u32 = 0x0800_0000;

/// How a program ended, in words that follow its name. What the system itself ended a program with
/// is an NTSTATUS, and known by its hexadecimal form.
pub(crate) fn how_it_ended(status: ExitStatus) -> String {
    match status.code() {
        Some(code @ 0..) => format!("ended with exit code {code}"),
        Some(code) => format!("ended with exit code {code} (0x{code:08x})"),
        None => "ended without an exit code".to_owned(),
    }
}

/// The job object of one program. To close it kills what still runs in it.
#[derive(Debug)]
pub(super) struct Group {
    job: OwnedHandle,
}

/// Keeps the program from opening a window.
pub(super) fn prepare(command: &mut Command) {
    command.creation_flags(NO_WINDOW);
}

impl Group {
    /// A new job with `child` in it. It has been given no input yet, and a program of ours begins
    /// nothing before that.
    pub(super) fn of(child: &Child) -> io::Result<Self> {
        let process: HANDLE = child
            .raw_handle()
            .ok_or_else(|| io::Error::other("it has ended already"))?;
        // SAFETY: both pointers may be null: no security attributes, no name.
        let raw = unsafe { CreateJobObjectW(std::ptr::null(), std::ptr::null()) };
        if raw.is_null() {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the handle was just made, is valid, and nobody else owns it.
        let job = unsafe { OwnedHandle::from_raw_handle(raw) };
        let mut limits = JOBOBJECT_EXTENDED_LIMIT_INFORMATION::default();
        limits.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE;
        let size = u32::try_from(size_of_val(&limits)).map_err(io::Error::other)?;
        // SAFETY: the handle is valid, and the pointer is to a structure of this class and of
        // `size` bytes.
        let set = unsafe {
            SetInformationJobObject(
                job.as_raw_handle(),
                JobObjectExtendedLimitInformation,
                (&raw const limits).cast(),
                size,
            )
        };
        if set == 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: both handles are valid; tokio keeps the process's open while `child` lives.
        if unsafe { AssignProcessToJobObject(job.as_raw_handle(), process) } == 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { job })
    }

    /// Kills whatever of it still runs.
    pub(super) fn kill(&self) {
        // SAFETY: the handle is valid. It fails only where nothing runs any more.
        unsafe { TerminateJobObject(self.job.as_raw_handle(), 1) };
    }
}
