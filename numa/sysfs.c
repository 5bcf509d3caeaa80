/* Small files of /sys and /proc as text, numbers and lists. Any thread; called inside numa/. */
#include "numa/sysfs.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int sysfs_path(char *path, const char *root, const char *format, ...)
{
    int used = snprintf(path, PATH_MAX, "%s", root);
    if (used >= PATH_MAX)
        return -ENAMETOOLONG;
    va_list arguments;
    va_start(arguments, format);
    int rest = vsnprintf(path + used, (size_t)(PATH_MAX - used), format, arguments);
    va_end(arguments);
    return rest < PATH_MAX - used ? 0 : -ENAMETOOLONG;
}

/* Reads until the buffer or the file ends; sysfs may hand out a file in pieces. */
static ssize_t read_all(int fd, char *text, size_t bytes)
{
    size_t used = 0;
    while (used < bytes) {
        ssize_t got = read(fd, text + used, bytes - used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0)
            break;
        used += (size_t)got;
    }
    return (ssize_t)used;
}

int sysfs_read(const char *path, char *text, size_t bytes)
{
    assert(bytes > 0);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t got = read_all(fd, text, bytes - 1);
    (void)close(fd); /* nothing was written: it has nothing to report */
    if (got < 0)
        return (int)got;
    text[got] = '\0';
    return 0;
}

int sysfs_number(const char *path, int64_t *number)
{
    char text[64];
    int error = sysfs_read(path, text, sizeof(text));
    if (error)
        return error;
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno != 0 || end == text || (*end != '\n' && *end != '\0'))
        return -EINVAL;
    *number = value;
    return 0;
}

int sysfs_list(const char *path, struct pst_cpu_list *list)
{
    /* The longest: every other of PST_CPUS_MAX numbers, four digits and a comma each. */
    char text[PST_CPUS_MAX / 2 * 5 + 2];
    int error = sysfs_read(path, text, sizeof(text));
    return error ? error : cpu_list_parse(text, list);
}

/* Copies the value of a "key:\tvalue\n" line. */
static int copy_value(const char *line, size_t key_length, char *text, size_t bytes)
{
    line += key_length + 1;
    line += strspn(line, " \t");
    size_t length = strcspn(line, "\n");
    if (length >= bytes)
        return -ERANGE;
    memcpy(text, line, length);
    text[length] = '\0';
    return 0;
}

int sysfs_field(const char *path, const char *key, char *text, size_t bytes)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return -errno;
    int error = -ENOENT;
    char *line = NULL;
    size_t capacity = 0;
    size_t key_length = strlen(key);
    while (error == -ENOENT && getline(&line, &capacity, file) > 0)
        if (strncmp(line, key, key_length) == 0 && line[key_length] == ':')
            error = copy_value(line, key_length, text, bytes);
    free(line);
    (void)fclose(file);
    return error;
}
