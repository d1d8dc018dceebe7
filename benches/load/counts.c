// Counts the fsyncs and the WAL frames of a process: preloaded with LD_PRELOAD, it adds to the two numbers in the file that
// SIDEDOOR_BENCH_COUNTS names. Needs neither root nor ptrace, and costs an atomic addition a call. SQLite writes the header of each
// WAL frame, which has 24 bytes, by a call of its own.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

#define FRAME_HEADER 24

static struct counts {
    _Atomic uint64_t fsyncs;
    _Atomic uint64_t frames;
} nowhere, *counts = &nowhere;

__attribute__((constructor)) static void map_counts(void) {
    const char *path = getenv("SIDEDOOR_BENCH_COUNTS");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0) return;
    void *map = mmap(NULL, sizeof(struct counts), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map != MAP_FAILED) counts = map;
    close(fd);
}

#define FORWARD(type, name, ...) \
    static type (*next)(__VA_ARGS__); \
    if (!next) next = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

int fsync(int fd) {
    FORWARD(int, "fsync", int);
    counts->fsyncs++;
    return next(fd);
}

int fdatasync(int fd) {
    FORWARD(int, "fdatasync", int);
    counts->fsyncs++;
    return next(fd);
}

ssize_t write(int fd, const void *data, size_t size) {
    FORWARD(ssize_t, "write", int, const void *, size_t);
    if (size == FRAME_HEADER) counts->frames++;
    return next(fd, data, size);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
    FORWARD(ssize_t, "pwrite", int, const void *, size_t, off_t);
    if (size == FRAME_HEADER) counts->frames++;
    return next(fd, data, size, at);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    FORWARD(ssize_t, "pwrite64", int, const void *, size_t, off64_t);
    if (size == FRAME_HEADER) counts->frames++;
    return next(fd, data, size, at);
}
