//! A program and its children as a job object.
#![allow(unsafe_code)]

use std::io;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::process::ExitStatus;

use tokio::process::{Child, Command};
use windows_sys::Win32::Foundation::{ERROR_NO_MORE_FILES, INVALID_HANDLE_VALUE};
use windows_sys::Win32::System::Diagnostics::ToolHelp::{
    CreateToolhelp32Snapshot, TH32CS_SNAPTHREAD, THREADENTRY32, Thread32First, Thread32Next,
};
use windows_sys::Win32::System::JobObjects::{
    AssignProcessToJobObject, CreateJobObjectW, JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE,
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION, JobObjectExtendedLimitInformation,
    SetInformationJobObject, TerminateJobObject,
};
use windows_sys::Win32::System::Threading::{
    CREATE_NO_WINDOW, CREATE_SUSPENDED, OpenThread, ResumeThread, THREAD_SUSPEND_RESUME,
};

/// Another user, whom a program runs as: not on Windows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RunAs {}

impl RunAs {
    /// There is none.
    pub(crate) fn named(_: &str) -> Result<Self, String> {
        Err("on Windows scripts run as the gateway does: leave this out".to_owned())
    }

    pub(crate) fn fault(&self) -> Option<String> {
        match *self {}
    }

    pub(super) fn prepare(&self, _: &mut Command) {
        match *self {}
    }
}

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

/// Nothing: the job has all.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark;

/// Keeps the program from opening a window, as a service has no console to lend, and from running
/// before [`Group::of`] has put it into its job: a child of its would never get there.
/// No process leaves a job.
pub(super) fn prepare(command: &mut Command, _may_stray: bool) -> Mark {
    command.creation_flags(CREATE_NO_WINDOW | CREATE_SUSPENDED);
    Mark
}

impl Group {
    /// A new job with `child` in it, which has run nothing yet and starts now. Where this fails, it
    /// has still run nothing.
    pub(super) fn of(child: &Child, _: Mark) -> io::Result<Self> {
        let (Some(process), Some(id)) = (child.raw_handle(), child.id()) else {
            return Err(io::Error::other("it has ended already"));
        };
        let job = new_job()?;
        // SAFETY: both handles are valid; tokio keeps the process's open while `child` lives.
        if unsafe { AssignProcessToJobObject(job.as_raw_handle(), process) } == 0 {
            return Err(io::Error::last_os_error());
        }
        // The open handle of the process keeps its id from being another's.
        resume(id)?;
        Ok(Self { job })
    }

    /// Kills whatever of it still runs.
    pub(super) fn kill(&self) {
        // SAFETY: the handle is valid. It fails only where nothing runs any more.
        unsafe { TerminateJobObject(self.job.as_raw_handle(), 1) };
    }
}

/// A job that ends with its handle, and that no process in it may leave.
fn new_job() -> io::Result<OwnedHandle> {
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
    // SAFETY: the handle is valid, and the pointer is to a structure of this class and of `size`
    // bytes.
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
    Ok(job)
}

/// Starts a process that was made suspended. The standard library has closed the handle of its one
/// thread, which is looked for among those of the system.
fn resume(process: u32) -> io::Result<()> {
    // SAFETY: it takes no pointers. For threads, the process id means nothing.
    let raw = unsafe { CreateToolhelp32Snapshot(TH32CS_SNAPTHREAD, 0) };
    if raw == INVALID_HANDLE_VALUE {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the handle was just made, is valid, and nobody else owns it.
    let threads = unsafe { OwnedHandle::from_raw_handle(raw) };
    let mut entry = THREADENTRY32 {
        dwSize: u32::try_from(size_of::<THREADENTRY32>()).map_err(io::Error::other)?,
        ..THREADENTRY32::default()
    };
    let mut resumed = false;
    // SAFETY: the handle is a snapshot's, and the entry may be written and says how long it is.
    let mut more = unsafe { Thread32First(threads.as_raw_handle(), &raw mut entry) };
    while more != 0 {
        if entry.th32OwnerProcessID == process {
            resumed |= resume_thread(entry.th32ThreadID)?;
        }
        // SAFETY: as above.
        more = unsafe { Thread32Next(threads.as_raw_handle(), &raw mut entry) };
    }
    let end = io::Error::last_os_error();
    match resumed {
        true => Ok(()),
        false if end.raw_os_error() == i32::try_from(ERROR_NO_MORE_FILES).ok() => {
            Err(io::Error::other("its first thread is gone"))
        }
        false => Err(end),
    }
}

/// Has a thread run that does not, and says whether it was one. A program that watches others, as
/// a virus scanner does, may have put in threads of its own, which run already.
fn resume_thread(id: u32) -> io::Result<bool> {
    // SAFETY: it takes no pointers.
    let raw = unsafe { OpenThread(THREAD_SUSPEND_RESUME, 0, id) };
    if raw.is_null() {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the handle was just made, is valid, and nobody else owns it.
    let thread = unsafe { OwnedHandle::from_raw_handle(raw) };
    // SAFETY: the handle is valid, and was opened for this.
    match unsafe { ResumeThread(thread.as_raw_handle()) } {
        u32::MAX => Err(io::Error::last_os_error()),
        suspended => Ok(suspended > 0),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// A command that leaves the file `mark`, in the state in which it is started.
    fn marking(folder: &Path, mark: &str) -> Child {
        let mut command = Command::new("cmd.exe");
        command
            .args(["/d", "/c", &format!("echo started>{mark}")])
            .current_dir(folder)
            .kill_on_drop(true);
        prepare(&mut command, false);
        command.spawn().unwrap()
    }

    #[tokio::test]
    async fn a_program_runs_nothing_before_it_is_in_its_job() {
        let folder = tempfile::tempdir().unwrap();
        let mut held = marking(folder.path(), "held");
        // As long as a program needs that was started later and is not held back.
        for name in ["first", "second"] {
            let mut other = marking(folder.path(), name);
            let _group = Group::of(&other, Mark).unwrap();
            assert!(other.wait().await.unwrap().success());
            assert!(folder.path().join(name).exists());
        }
        assert!(!folder.path().join("held").exists(), "it ran");
        assert!(held.try_wait().unwrap().is_none());

        let _group = Group::of(&held, Mark).unwrap();
        assert!(held.wait().await.unwrap().success());
        assert!(folder.path().join("held").exists());
    }

    #[tokio::test]
    async fn a_program_that_is_gone_is_not_put_into_a_job() {
        let folder = tempfile::tempdir().unwrap();
        let mut child = marking(folder.path(), "mark");
        child.start_kill().unwrap();
        assert!(!child.wait().await.unwrap().success());
        Group::of(&child, Mark).unwrap_err();
        assert!(!folder.path().join("mark").exists());
    }
}
