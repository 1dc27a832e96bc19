// Loaded with LD_PRELOAD: lets the n-th change to a file below a folder fail, tear, or kill the
// process. Changes are counted across write, pwrite, fsync, fdatasync, rename, unlink and
// ftruncate, whoever makes them: Python, SQLite, safetensors.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

enum { NOTHING, KILL_BEFORE, KILL_AFTER, KILL_TORN, FAIL };

static char folder[PATH_MAX];
static size_t length;
static int mode = NOTHING, failure;
static long at, count;

void faults_arm(const char* path, int how, long n, int error) {
  snprintf(folder, sizeof folder, "%s", path);
  length = strlen(folder);
  mode = how, at = n, failure = error, count = 0;
}

long faults_count(void) { return count; }

static int below(const char* path) {
  char whole[PATH_MAX];
  if (!length || !path) return 0;
  if (path[0] != '/') {
    if (!getcwd(whole, sizeof whole)) return 0;
    size_t used = strlen(whole);
    snprintf(whole + used, sizeof whole - used, "/%s", path);
    path = whole;
  }
  return strncmp(path, folder, length) == 0;
}

static int below_handle(int handle) {
  char link[64], path[PATH_MAX];
  if (!length) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", handle);
  ssize_t n = readlink(link, path, sizeof path - 1);
  if (n < 0) return 0;
  path[n] = 0;
  return below(path);
}

static void die(void) {
  kill(getpid(), SIGKILL);
  for (;;) pause();
}

// Whether this change is to fail; does not return where the process is killed before it.
static int due(int counted) {
  if (!counted) return 0;
  ++count;
  if (mode == FAIL) return count >= at;  // a full disk stays full
  if (count != at) return 0;
  if (mode == KILL_BEFORE) die();
  return 1;
}

#define REAL(name) \
  static __typeof__(name)* real; \
  if (!real) real = (__typeof__(name)*)dlsym(RTLD_NEXT, #name)

#define CHANGE(counted, torn, call)                      \
  int now = due(counted);                                \
  if (now && mode == FAIL) return errno = failure, -1;   \
  if (now && mode == KILL_TORN) { torn; die(); }         \
  __typeof__(call) result = call;                        \
  if (now) die();                                        \
  return result

ssize_t write(int handle, const void* bytes, size_t n) {
  REAL(write);
  CHANGE(below_handle(handle), real(handle, bytes, n / 2), real(handle, bytes, n));
}
ssize_t pwrite(int handle, const void* bytes, size_t n, off_t where) {
  REAL(pwrite);
  CHANGE(below_handle(handle), real(handle, bytes, n / 2, where), real(handle, bytes, n, where));
}
ssize_t pwrite64(int handle, const void* bytes, size_t n, off64_t where) {
  REAL(pwrite64);
  CHANGE(below_handle(handle), real(handle, bytes, n / 2, where), real(handle, bytes, n, where));
}
int fsync(int handle) {
  REAL(fsync);
  CHANGE(below_handle(handle), (void)0, real(handle));
}
int fdatasync(int handle) {
  REAL(fdatasync);
  CHANGE(below_handle(handle), (void)0, real(handle));
}
int rename(const char* from, const char* to) {
  REAL(rename);
  CHANGE(below(to), (void)0, real(from, to));
}
// Taking away never needs space: unlinking and truncating are counted, but do not fail when full.
int unlink(const char* path) {
  REAL(unlink);
  if (mode == FAIL) return real(path);
  CHANGE(below(path), (void)0, real(path));
}
int ftruncate(int handle, off_t size) {
  REAL(ftruncate);
  if (mode == FAIL) return real(handle, size);
  CHANGE(below_handle(handle), (void)0, real(handle, size));
}
int ftruncate64(int handle, off64_t size) {
  REAL(ftruncate64);
  if (mode == FAIL) return real(handle, size);
  CHANGE(below_handle(handle), (void)0, real(handle, size));
}
