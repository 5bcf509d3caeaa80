/*
 * Reads the JSON lines that penstock and penstock-bench print: one object each, without blanks
 * between its tokens or with. Members are looked up by name, at whatever depth; a line that is cut
 * ends them. Pure.
 */
#ifndef PST_BENCH_LINE_H
#define PST_BENCH_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The start of the last line of text that is not empty. */
const char *line_last(const char *text);

/* 0 where there is no such member, or no such number. */
uint64_t line_number(const char *line, const char *name);

/* The numbers of an array, room at most; returns how many. 0: there is no such array, or not all
 * that is in it is a number above 0. */
uint32_t line_figures(const char *line, const char *name, double *figures, uint32_t room);

/* Copies a string, without its escapes' backslashes; false: there is none, or it is too long. */
bool line_text(const char *line, const char *name, char *text, size_t bytes);

/* The same of an array of strings, as they stand there, with commas. */
bool line_texts(const char *line, const char *name, char *text, size_t bytes);

#endif
