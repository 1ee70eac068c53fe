/* Writing and syncing a file of the system, for who does not hold the interpreter's lock. Each returns 0 or an errno. */
#ifndef THOTH_DISK_H
#define THOTH_DISK_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__linux__)
#include <unistd.h>
#define DISK_DIRECT 1

static int disk_write(int file, const uint8_t *data, size_t length, int64_t offset) {
    while (length) {
        ssize_t written = pwrite(file, data, length, (off_t)offset);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return errno;
        if (written == 0) return EIO;
        data += written;
        offset += written;
        length -= (size_t)written;
    }
    return 0;
}

/* Not asked again, whatever it says: after a failed sync nobody knows what is on disk. */
static int disk_sync(int file) { return fdatasync(file) ? errno : 0; }

#else /* a system whose sync is another: `FileStorage` knows it */
#define DISK_DIRECT 0

static int disk_write(int file, const uint8_t *data, size_t length, int64_t offset) {
    (void)file, (void)data, (void)length, (void)offset;
    return ENOSYS;
}
static int disk_sync(int file) {
    (void)file;
    return ENOSYS;
}
#endif

#endif
