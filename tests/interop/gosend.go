// Sends a message with Go's net/smtp, whose reader of replies takes nothing but what RFC 5321 says.
//
//	gosend PORT clear|tls FILE RECIPIENT [CERTIFICATE]
package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/smtp"
	"os"
)

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "gosend:", err)
		os.Exit(1)
	}
}

func config(certificate string) *tls.Config {
	pem, err := os.ReadFile(os.Getenv("CERTS") + "/ca.pem")
	must(err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	c := &tls.Config{RootCAs: roots, ServerName: "mx1.example.ch"}
	if certificate != "" {
		pair, err := tls.LoadX509KeyPair(certificate+".pem", certificate+".key")
		must(err)
		c.Certificates = []tls.Certificate{pair}
	}
	return c
}

func main() {
	certificate := ""
	if len(os.Args) > 5 {
		certificate = os.Args[5]
	}
	message, err := os.ReadFile(os.Args[3])
	must(err)
	c, err := smtp.Dial("127.0.0.1:" + os.Args[1])
	must(err)
	must(c.Hello("go.example"))
	if os.Args[2] == "tls" {
		must(c.StartTLS(config(certificate)))
	}
	must(c.Mail(os.Getenv("SENDER")))
	must(c.Rcpt(os.Args[4]))
	w, err := c.Data()
	must(err)
	_, err = w.Write(message)
	must(err)
	must(w.Close())
	must(c.Quit())
}
