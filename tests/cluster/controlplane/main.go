// Command controlplane is a Kubernetes control plane in one binary, for tests.
//
// Its first argument names the component to run: etcd, kube-apiserver, kube-scheduler or
// kube-controller-manager. The Kubernetes components take their usual flags. etcd is embedded and
// takes the few flags declared in runEtcd, with the names and meanings that the real etcd gives them.
package main

import (
	"errors"
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"syscall"
	"time"
	_ "time/tzdata" // CronJobs may name a time zone; the host may have no zone files.

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/embed"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
)

// etcdReadyTimeout bounds the start of the embedded etcd.
const etcdReadyTimeout = 30 * time.Second

const usage = "usage: controlplane etcd|kube-apiserver|kube-scheduler|kube-controller-manager [flags]"

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(2)
	}
	component := os.Args[1]
	// The components parse os.Args themselves: let them see their own name as the program's.
	os.Args = append([]string{component}, os.Args[2:]...)

	var command *cobra.Command
	switch component {
	case "etcd":
		if err := runEtcd(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, "etcd:", err)
			os.Exit(1)
		}
		return
	case "kube-apiserver":
		command = apiserver.NewAPIServerCommand()
	case "kube-scheduler":
		command = scheduler.NewSchedulerCommand()
	case "kube-controller-manager":
		command = controllermanager.NewControllerManagerCommand()
	default:
		fmt.Fprintf(os.Stderr, "unknown component %q\n%s\n", component, usage)
		os.Exit(2)
	}
	os.Exit(cli.Run(command))
}

// runEtcd serves a single-member etcd until SIGINT or SIGTERM.
func runEtcd(arguments []string) error {
	flags := flag.NewFlagSet("etcd", flag.ContinueOnError)
	dataDir := flags.String("data-dir", "", "folder of the database")
	clientURL := flags.String("listen-client-urls", "", "URL to listen on for clients")
	advertisedURL := flags.String("advertise-client-urls", "", "URL that clients connect to")
	peerURL := flags.String("listen-peer-urls", "", "URL to listen on for peers, of which there are none")
	certFile := flags.String("cert-file", "", "TLS certificate of the client URL")
	keyFile := flags.String("key-file", "", "key of cert-file")
	trustedCAFile := flags.String("trusted-ca-file", "", "CA that client certificates must come from")
	clientCertAuth := flags.Bool("client-cert-auth", false, "refuse clients without a certificate")
	noFsync := flags.Bool("unsafe-no-fsync", false, "do not wait for the disk: only for data that may be lost")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	urls := map[string]url.URL{}
	for name, value := range map[string]string{
		"listen-client-urls": *clientURL, "advertise-client-urls": *advertisedURL, "listen-peer-urls": *peerURL,
	} {
		parsed, err := url.Parse(value)
		if err != nil || parsed.Host == "" {
			return fmt.Errorf("--%s: %q is not a URL", name, value)
		}
		urls[name] = *parsed
	}
	if *dataDir == "" {
		return errors.New("--data-dir is needed")
	}

	config := embed.NewConfig()
	config.Dir = *dataDir
	config.ListenClientUrls = []url.URL{urls["listen-client-urls"]}
	config.AdvertiseClientUrls = []url.URL{urls["advertise-client-urls"]}
	config.ListenPeerUrls = []url.URL{urls["listen-peer-urls"]}
	config.UnsafeNoFsync = *noFsync
	config.LogLevel = "warn"
	// Not a default of the embedded etcd: without it every request is logged as a slow one.
	config.WarningUnaryRequestDuration = embed.DefaultWarningUnaryRequestDuration
	config.ClientTLSInfo.CertFile = *certFile
	config.ClientTLSInfo.KeyFile = *keyFile
	config.ClientTLSInfo.TrustedCAFile = *trustedCAFile
	config.ClientTLSInfo.ClientCertAuth = *clientCertAuth
	return serveEtcd(config)
}

func serveEtcd(config *embed.Config) error {
	server, err := embed.StartEtcd(config)
	if err != nil {
		return err
	}
	defer server.Close()
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	select {
	case <-server.Server.ReadyNotify():
	case <-time.After(etcdReadyTimeout):
		return fmt.Errorf("not ready after %s", etcdReadyTimeout)
	}
	select {
	case <-stop:
		return nil
	case err := <-server.Err():
		return err
	}
}
