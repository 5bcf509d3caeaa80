/* Keeps files mapped, and changes them through the mappings: mapped_writer FILE BYTES [FILE
 * BYTES]..., each made anew. Of each line that is read the first byte becomes the first byte of
 * each file; then the line is printed. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define FILES_MAX 8

static char *map_file(const char *path, size_t bytes)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0 || posix_fallocate(fd, 0, (off_t)bytes))
        return MAP_FAILED;
    char *mapped = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    for (size_t at = 0; mapped != MAP_FAILED && at < bytes; at += 4096)
        mapped[at] = (char)('0' + at / 4096 % 64);
    if (mapped != MAP_FAILED && msync(mapped, bytes, MS_SYNC))
        return MAP_FAILED;
    return mapped;
}

int main(int arguments_count, char **arguments)
{
    char line[64], *files[FILES_MAX];
    int count = (arguments_count - 1) / 2;
    for (int i = 0; i < count && count <= FILES_MAX; i++) {
        files[i] = map_file(arguments[1 + 2 * i], strtoul(arguments[2 + 2 * i], NULL, 10));
        if (files[i] == MAP_FAILED) {
            perror(arguments[1 + 2 * i]);
            return 1;
        }
    }
    while (count <= FILES_MAX && fgets(line, sizeof(line), stdin)) {
        for (int i = 0; i < count; i++)
            *(volatile char *)files[i] = line[0];
        fputs(line, stdout);
        fflush(stdout);
    }
    return 0;
}
