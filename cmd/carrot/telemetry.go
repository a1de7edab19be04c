package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
)

// startTelemetry sends traces and metrics to an OpenTelemetry collector if the standard
// environment variables name one: OTEL_EXPORTER_OTLP_ENDPOINT for both, or
// OTEL_EXPORTER_OTLP_TRACES_ENDPOINT or OTEL_EXPORTER_OTLP_METRICS_ENDPOINT for one of
// them. OTEL_SDK_DISABLED=true, OTEL_TRACES_EXPORTER=none and OTEL_METRICS_EXPORTER=none
// turn them off. The exporters read headers, timeouts and certificates from the
// environment, and the resource is described by OTEL_SERVICE_NAME and
// OTEL_RESOURCE_ATTRIBUTES. The protocol is OTLP over HTTP.
//
// A provider whose signal is not sent does nothing. The function that is returned sends
// what is left and stops; it is never nil.
func startTelemetry(ctx context.Context, version string) (trace.TracerProvider, metric.MeterProvider, func(context.Context) error, error) {
	var (
		tracers trace.TracerProvider = tracenoop.NewTracerProvider()
		meters  metric.MeterProvider = metricnoop.NewMeterProvider()
		ends    []func(context.Context) error
	)
	shutdown := func(ctx context.Context) error {
		var problems []error
		for _, end := range ends {
			problems = append(problems, end(ctx))
		}
		return errors.Join(problems...)
	}
	traces, metrics := exported("TRACES"), exported("METRICS")
	if !traces && !metrics {
		return tracers, meters, shutdown, nil
	}
	fail := func(err error) (trace.TracerProvider, metric.MeterProvider, func(context.Context) error, error) {
		return tracers, meters, shutdown, errors.Join(fmt.Errorf("start telemetry: %w", err), shutdown(ctx))
	}
	for _, name := range []string{"OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL"} {
		if v := os.Getenv(name); v != "" && v != "http/protobuf" {
			return fail(hinted{fmt.Errorf("%s is %q: only http/protobuf is supported", name, v), "collectors accept it at port 4318"})
		}
	}
	described, err := resource.New(ctx,
		resource.WithAttributes(attribute.String("service.name", "carrot"), attribute.String("service.version", version)),
		resource.WithTelemetrySDK(), resource.WithFromEnv()) // the environment overrides the attributes
	if err != nil {
		return fail(err)
	}
	if traces {
		exporter, err := otlptracehttp.New(ctx)
		if err != nil {
			return fail(err)
		}
		p := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(described))
		tracers, ends = p, append(ends, p.Shutdown)
	}
	if metrics {
		exporter, err := otlpmetrichttp.New(ctx)
		if err != nil {
			return fail(err)
		}
		p := sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewPeriodicReader(exporter)), sdkmetric.WithResource(described))
		meters, ends = p, append(ends, p.Shutdown)
	}
	return tracers, meters, shutdown, nil
}

// exported reports whether the environment asks for a signal to be sent.
func exported(signal string) bool {
	if strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") || os.Getenv("OTEL_"+signal+"_EXPORTER") == "none" {
		return false
	}
	return os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || os.Getenv("OTEL_EXPORTER_OTLP_"+signal+"_ENDPOINT") != ""
}
