/*
 * Penstock as a library: implement a source, and back up, verify, restore and list.
 *
 *   penstock/run.h         running it
 *   penstock/node.h        a node of a cluster inside a program
 *   penstock/source.h      what can be backed up: struct pst_source
 *   penstock/fragment.h    how a source describes its data
 *   penstock/packer.h      packs files into fragments
 *   penstock/object.h      catalogue entries
 *   penstock/rows.h        tables and their rows
 *   penstock/table_sink.h  where restored rows go
 *   penstock/log.h         log lines
 *   penstock/error.h       error codes
 *   penstock/limits.h      bounds
 *
 * docs/examples/ has programs. C11 and C++17. Symbols are versioned: a program that was linked with
 * one libpenstock.so.0 runs with any later one.
 */
#ifndef PENSTOCK_PENSTOCK_H
#define PENSTOCK_PENSTOCK_H

#include "penstock/error.h"
#include "penstock/fragment.h"
#include "penstock/limits.h"
#include "penstock/log.h"
#include "penstock/node.h"
#include "penstock/object.h"
#include "penstock/packer.h"
#include "penstock/rows.h"
#include "penstock/run.h"
#include "penstock/source.h"
#include "penstock/table_sink.h"

#endif
