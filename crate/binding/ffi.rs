//! All of the `unsafe`, behind safe functions: the wake-up of the JavaScript thread, the clean-up hook of an environment
//! and the handing over of memory. Each block says why it holds.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ffi::{CStr, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{self, NonNull};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use napi::bindgen_prelude::{Object, Uint8ArraySlice, Unknown};
use napi::{Env, JsValue, Result, Status, sys};

use crate::marshal::Handed;
use crate::shelf;

/// The one way to make JavaScript run: a thread-safe function that carries no data. What is queued in one leaks when a
/// worker ends; nothing is.
#[derive(Debug)]
pub(crate) struct WakeUp {
    /// `None` once the environment is gone; calls are made under the lock, so none comes after.
    handle: Mutex<Option<Handle>>,
}

#[derive(Clone, Copy, Debug)]
struct Handle(sys::napi_threadsafe_function);

// SAFETY: the handle is a pointer to an object of Node's that is made to be called from any thread
// (napi_call_threadsafe_function); we dereference nothing, and only call it under `WakeUp`'s lock.
unsafe impl Send for Handle {}

impl WakeUp {
    /// A wake-up that calls `callback` without arguments. It does not hold the event loop until [`WakeUp::hold`].
    pub(crate) fn new(env: Env, callback: &Unknown<'_>) -> Result<Self> {
        let name = env.create_string("ferropool")?;
        let mut handle = ptr::null_mut();
        // SAFETY: `env` is the environment of the call we are in, `callback` and `name` are live values of it; the
        // context and the finalizer's data are null and never used; `handle` outlives the call.
        let status = unsafe {
            sys::napi_create_threadsafe_function(
                env.raw(),
                callback.raw(),
                ptr::null_mut(),
                name.raw(),
                0,
                1,
                ptr::null_mut(),
                None,
                ptr::null_mut(),
                Some(call_js),
                &raw mut handle,
            )
        };
        check(status, "napi_create_threadsafe_function")?;
        let wake_up = Self { handle: Mutex::new(Some(Handle(handle))) };
        wake_up.release_hold(env);
        Ok(wake_up)
    }

    /// Makes the JavaScript thread call back soon; from any thread. After [`WakeUp::disarm`] it does nothing.
    pub(crate) fn call(&self) {
        let guard = self.lock();
        if let Some(Handle(handle)) = *guard {
            // SAFETY: the handle is live: it is released only by `disarm`, which takes it out under this same lock.
            // Non-blocking, without data. Its status tells of a closing environment, for which there is nothing to do.
            let _closing = unsafe {
                sys::napi_call_threadsafe_function(
                    handle,
                    ptr::null_mut(),
                    sys::ThreadsafeFunctionCallMode::nonblocking,
                )
            };
        }
    }

    /// From now on the event loop stays alive; on the JavaScript thread.
    pub(crate) fn hold(&self, env: Env) {
        if let Some(Handle(handle)) = *self.lock() {
            // SAFETY: `env` is the environment that made the handle, on its own thread; the handle is live (see `call`).
            let _status = unsafe { sys::napi_ref_threadsafe_function(env.raw(), handle) };
        }
    }

    /// From now on the event loop may end; on the JavaScript thread.
    pub(crate) fn release_hold(&self, env: Env) {
        if let Some(Handle(handle)) = *self.lock() {
            // SAFETY: as in `hold`.
            let _status = unsafe { sys::napi_unref_threadsafe_function(env.raw(), handle) };
        }
    }

    /// The environment ends: no call comes after this returns.
    pub(crate) fn disarm(&self) {
        if let Some(Handle(handle)) = self.lock().take() {
            // SAFETY: the handle is live and was taken out, so that nobody uses it again; `abort` makes Node drop calls
            // that are queued.
            let _status =
                unsafe { sys::napi_release_threadsafe_function(handle, sys::ThreadsafeFunctionReleaseMode::abort) };
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Handle>> {
        self.handle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Node calls this on the JavaScript thread for each wake-up. A panic must not leave it: it would abort the process.
extern "C" fn call_js(env: sys::napi_env, callback: sys::napi_value, _: *mut c_void, _: *mut c_void) {
    if env.is_null() || callback.is_null() {
        // The environment is being torn down.
        return;
    }
    // A wake-up that is lost leaves everything after it undelivered, so one that panicked is tried again.
    for _ in 0..WAKE_UP_TRIES {
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            #[cfg(feature = "faults")]
            ferropool_core::faults::trip("wake-up");
            let mut this = ptr::null_mut();
            let mut result = ptr::null_mut();
            // SAFETY: `env` and `callback` are given by Node for the length of this call; `this` is written before use.
            // What JavaScript throws stays pending and Node reports it as an uncaught exception when we return.
            unsafe {
                if sys::napi_get_undefined(env, &raw mut this) == sys::Status::napi_ok {
                    sys::napi_call_function(env, this, callback, 0, ptr::null(), &raw mut result);
                }
            }
        }));
        if outcome.is_ok() {
            return;
        }
    }
    // SAFETY: `env` as above; the values are made here, of constants. Throwing would not do: for the callback of a
    // thread-safe function Node makes a warning of it.
    unsafe {
        let (mut code, mut text, mut error) = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
        let made = [
            sys::napi_create_string_utf8(env, c"ERR_INTERNAL".as_ptr(), AUTO_LENGTH, &raw mut code),
            sys::napi_create_string_utf8(env, WAKE_UP_PANICKED.as_ptr(), AUTO_LENGTH, &raw mut text),
            sys::napi_create_error(env, code, text, &raw mut error),
        ];
        if made.iter().all(|status| *status == sys::Status::napi_ok) {
            sys::napi_fatal_exception(env, error);
        }
    }
}

/// Runs `hook` when the environment ends, on its thread, before anything made earlier in it is torn down.
pub(crate) fn on_environment_end(env: Env, hook: impl FnOnce() + 'static) -> Result<()> {
    struct Hook(Option<Box<dyn FnOnce()>>);
    extern "C" fn run(hook: *mut c_void) {
        // SAFETY: `hook` is the pointer that `Box::into_raw` gave below, and Node runs a hook once.
        let mut hook = unsafe { Box::from_raw(hook.cast::<Hook>()) };
        if let Some(hook) = hook.0.take() {
            // A panic here would abort a process that is ending; what it left undone dies with it.
            let _ended = catch_unwind(AssertUnwindSafe(hook));
        }
    }
    let hook = Box::into_raw(Box::new(Hook(Some(Box::new(hook)))));
    // SAFETY: `env` is the environment of the call we are in; `run` takes ownership of `hook` exactly once.
    let status = unsafe { sys::napi_add_env_cleanup_hook(env.raw(), Some(run), hook.cast()) };
    check(status, "napi_add_env_cleanup_hook")
}

/// Hands memory over to JavaScript: a Buffer over it, freed when that is collected. Where external memory is not allowed
/// (Electron), a copy.
pub(crate) fn hand_over(env: Env, memory: Handed) -> Result<Object<'static>> {
    extern "C" fn free(_: sys::napi_env, _: *mut c_void, hint: *mut c_void) {
        // SAFETY: `hint` is the boxed owner of the memory that the Buffer showed; Node calls a finalizer once, when nothing
        // refers to that memory any more.
        drop(unsafe { Box::from_raw(hint.cast::<Handed>()) });
    }
    let mut boxed = Box::new(memory);
    let (data, length) = match &mut *boxed {
        Handed::Owned(bytes) => (bytes.as_mut_ptr(), bytes.len()),
        Handed::Shared(bytes) => (bytes.as_ptr().cast_mut(), bytes.len()),
    };
    let hint = Box::into_raw(boxed);
    let mut value = ptr::null_mut();
    // SAFETY: `data` points to `length` bytes that live until `free` runs, in an owner that nothing else touches; `env` is
    // the environment of the call we are in. JavaScript may write to them: a Vec is ours alone, and a shared part was
    // split off hyper's read buffer, which never looks at it again and of which no other handle covers these bytes.
    let status = unsafe {
        sys::napi_create_external_buffer(env.raw(), length, data.cast(), Some(free), hint.cast(), &raw mut value)
    };
    if status != sys::Status::napi_ok {
        // SAFETY: Node did not take the memory: the pointer is still ours alone.
        let owner = unsafe { Box::from_raw(hint) };
        let mut copied = ptr::null_mut();
        // SAFETY: the memory lives in `owner` through the call, which copies it.
        let status =
            unsafe { sys::napi_create_buffer_copy(env.raw(), length, data.cast(), &raw mut copied, &raw mut value) };
        drop(owner);
        check(status, "napi_create_buffer_copy")?;
    }
    Ok(Object::from_raw(env.raw(), value))
}

/// A copy of what JavaScript submitted.
///
/// A large one lies in the system's memory: made on one thread and freed on another, mimalloc would keep it in the
/// process for a long time (20 MB bodies one after the other came to 1.8 GB).
pub(crate) fn copy_of(batch: &[u8]) -> Bytes {
    if batch.len() < LARGE_BATCH {
        return Bytes::copy_from_slice(batch);
    }
    SystemBlock::copy_of(batch).map_or_else(|| Bytes::copy_from_slice(batch), Bytes::from_owner)
}

/// Bytes in the system's memory.
struct SystemBlock {
    data: NonNull<u8>,
    layout: Layout,
}

// SAFETY: the block is the only owner of its memory, which is not written to again after `copy_of`; the system's
// allocator frees on any thread.
unsafe impl Send for SystemBlock {}

impl SystemBlock {
    fn copy_of(bytes: &[u8]) -> Option<Self> {
        let layout = Layout::array::<u8>(bytes.len()).ok().filter(|layout| layout.size() > 0)?;
        // SAFETY: the layout's size is not 0.
        let data = NonNull::new(unsafe { System.alloc(layout) })?;
        // SAFETY: `data` has room for `bytes.len()` bytes and was allocated just now, so it overlaps nothing.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), data.as_ptr(), bytes.len()) };
        Some(Self { data, layout })
    }
}

impl AsRef<[u8]> for SystemBlock {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: `data` points to `layout.size()` bytes that `copy_of` wrote and that live as long as `self`.
        unsafe { std::slice::from_raw_parts(self.data.as_ptr(), self.layout.size()) }
    }
}

impl Drop for SystemBlock {
    fn drop(&mut self) {
        // SAFETY: allocated by the same allocator with the same layout, and freed once.
        unsafe { System.dealloc(self.data.as_ptr(), self.layout) };
    }
}

/// Bytes from which on a batch is large.
const LARGE_BATCH: usize = 1024 * 1024;

/// The process's allocator: another one, with the shelf in front of it.
pub(crate) struct Shelved<A>(pub(crate) A);

/// What a buffer is allocated with, whatever was asked for.
const BUFFER_LAYOUT: Layout = match Layout::from_size_align(shelf::BUFFER, BUFFER_ALIGN) {
    Ok(layout) => layout,
    Err(_) => panic!("a buffer has a size"),
};
const BUFFER_ALIGN: usize = 16;

fn is_buffer(layout: Layout) -> bool {
    shelf::is_buffer(layout.size()) && layout.align() <= BUFFER_ALIGN
}

// SAFETY: what is no buffer goes to `A` unchanged. A buffer (`is_buffer` of its layout, which the caller gives again when it
// frees) is always a block of `A`'s with `BUFFER_LAYOUT`, which is at least as large and as aligned as was asked for; it is
// either in use or on the shelf, never both, and the shelf holds nothing else. Nothing here unwinds. Where the shelf's lock
// is pthread's (macOS), std allocates a small block when it is first taken: that is no buffer, so it goes to `A` and never
// comes back to the lock.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Shelved<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !is_buffer(layout) {
            // SAFETY: the caller's own promise.
            return unsafe { self.0.alloc(layout) };
        }
        match shelf::SHELF.take() {
            Some(buffer) => ptr::with_exposed_provenance_mut(buffer),
            // SAFETY: the layout's size is not 0.
            None => unsafe { self.0.alloc(BUFFER_LAYOUT) },
        }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        if !is_buffer(layout) {
            // SAFETY: the caller's own promise.
            return unsafe { self.0.dealloc(memory, layout) };
        }
        if !shelf::SHELF.put(memory.expose_provenance()) {
            // SAFETY: allocated by `alloc` above, with this layout.
            unsafe { self.0.dealloc(memory, BUFFER_LAYOUT) }
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if !is_buffer(layout) {
            // SAFETY: the caller's own promise.
            return unsafe { self.0.alloc_zeroed(layout) };
        }
        // SAFETY: the caller's own promise.
        let memory = unsafe { self.alloc(layout) };
        if !memory.is_null() {
            // SAFETY: it has room for as much as was asked for.
            unsafe { ptr::write_bytes(memory, 0, layout.size()) }
        }
        memory
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller promises that the size, rounded up to the alignment, is within bounds.
        let asked = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        match (is_buffer(layout), is_buffer(asked)) {
            // SAFETY: the caller's own promise.
            (false, false) => unsafe { self.0.realloc(memory, layout, size) },
            // It is as large already.
            (true, true) => memory,
            _ => {
                // SAFETY: the caller promises that the size is not 0.
                let moved = unsafe { self.alloc(asked) };
                if !moved.is_null() {
                    // SAFETY: both have room for the smaller size, and one of them is new; `memory` was allocated with
                    // `layout` and is not used again.
                    unsafe {
                        ptr::copy_nonoverlapping(memory, moved, layout.size().min(size));
                        self.dealloc(memory, layout);
                    }
                }
                moved
            }
        }
    }
}

/// Gives what lies on the shelf back to the allocator behind it.
pub(crate) fn clear_shelf() {
    while let Some(buffer) = shelf::SHELF.take() {
        // SAFETY: whatever lies on the shelf is a block of the inner allocator's with this layout, and nobody else's now.
        unsafe { crate::ALLOCATOR.0.dealloc(ptr::with_exposed_provenance_mut(buffer), BUFFER_LAYOUT) }
    }
}

/// The slab that completions are copied into.
pub(crate) fn slab_bytes<'s>(slab: &'s mut Uint8ArraySlice<'_>) -> &'s mut [u8] {
    // SAFETY: JavaScript runs on this very thread and stands still while the call that was given the slab lasts; the
    // slab is the boundary's own plain memory (`Buffer.allocUnsafeSlow`), shared with no other thread, and no other
    // reference to it exists in Rust.
    unsafe { slab.as_mut() }
}

fn check(status: sys::napi_status, call: &str) -> Result<()> {
    if status == sys::Status::napi_ok {
        return Ok(());
    }
    Err(napi::Error::new(Status::from(status), format!("{call} failed")))
}

/// What the uncaught exception says.
const WAKE_UP_PANICKED: &CStr = c"ferropool's wake-up panicked; please report it";
/// `NAPI_AUTO_LENGTH`: up to the terminating null.
const AUTO_LENGTH: isize = -1;
/// How often a wake-up is tried before it becomes an uncaught exception.
const WAKE_UP_TRIES: u32 = 3;
