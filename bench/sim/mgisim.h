/*
 * mgisim: the IncaMail platform's side of a gateway integration, and the company's internal
 * mail server, as a strict SMTP peer for demo, tests and measurement. It shares no protocol
 * code with mgid: a peer that has the same misunderstanding finds no fault.
 */
#ifndef MGISIM_H
#define MGISIM_H

#include <stdint.h>
#include <stdio.h>

/* What ends the program with a message on stderr and a sysexits code. */
_Noreturn void sim_die(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* "HOST:PORT" or "[IPv6]:PORT" into host (size bytes) and port; ends the program when malformed. */
void sim_split_address(const char *text, char *host, size_t size, char *port, size_t port_size);

/* Milliseconds of the monotonic clock. */
int64_t sim_now(void);

/* The subcommands: argv[0] is the subcommand's name. Return the exit status. */
int sink_main(int argc, char **argv);
int send_main(int argc, char **argv);

#endif
