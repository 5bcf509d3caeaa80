/* The files that tables are exported into. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/cli/export_sink.h"
#include "tests/suite.h"

static char folder[] = "/tmp/penstock-export-XXXXXX";

static struct pst_table_sink *open_csv(int directory_fd)
{
    const struct pst_database database = {.kind = "other", .name = "data"};
    char text[PST_TABLE_SINK_TEXT_BYTES];
    struct pst_table_sink *sink;
    void *format = (void *)(uintptr_t)&cli_export_csv;
    CU_ASSERT_EQUAL_FATAL(cli_export_sink_open(format, &database, directory_fd, &sink, text), 0);
    return sink;
}

static int export(struct pst_table_sink *sink, const char *name, const char *key)
{
    const struct pst_table table = {.name = name, .name_bytes = (uint32_t)strlen(name), .rows = 1};
    int error = sink->begin(sink, &table);
    if (!error)
        error = sink->row(sink, key, (uint32_t)strlen(key), "", 0);
    return error ? error : sink->end(sink);
}

/* As where a file system ignores case: the second table has the file of the first. */
static void tables_of_one_file(void)
{
    int directory_fd = open(folder, O_RDONLY | O_DIRECTORY);
    struct pst_table_sink *sink = open_csv(directory_fd);
    CU_ASSERT_EQUAL(export(sink, "first", "a"), 0);
    CU_ASSERT_EQUAL(linkat(directory_fd, "first.csv", directory_fd, "second.csv", 0), 0);
    CU_ASSERT_EQUAL(export(sink, "second", "b"), -EEXIST);
    CU_ASSERT_PTR_NOT_NULL(strstr(sink->error_text, "second.csv, the name of another table's"));
    sink->close(sink);
    close(directory_fd);
}

/* What an export that was cut off has left is written anew. */
static void files_of_an_earlier_export(void)
{
    char line[64] = "";
    int directory_fd = open(folder, O_RDONLY | O_DIRECTORY);
    for (uint32_t i = 0; i < 2; i++) {
        struct pst_table_sink *sink = open_csv(directory_fd);
        CU_ASSERT_EQUAL(export(sink, "table", i == 0 ? "a key that is longer" : "key"), 0);
        sink->close(sink);
    }
    int fd = openat(directory_fd, "table.csv", O_RDONLY);
    ssize_t bytes = read(fd, line, sizeof(line) - 1);
    CU_ASSERT_TRUE(bytes > 0 && !strstr(line, "longer"));
    CU_ASSERT_PTR_NOT_NULL(strstr(line, "key,"));
    close(fd);
    close(directory_fd);
}

static void remove_folder(void)
{
    static const char *const names[] = {"first.csv", "second.csv", "table.csv"};
    int directory_fd = open(folder, O_RDONLY | O_DIRECTORY);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        unlinkat(directory_fd, names[i], 0);
    close(directory_fd);
    rmdir(folder);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"tables of one file", tables_of_one_file},
        {"files of an earlier export", files_of_an_earlier_export},
        CU_TEST_INFO_NULL,
    };
    if (!mkdtemp(folder))
        return 1;
    int code = suite_run("cli/export", tests);
    remove_folder();
    return code;
}
