<?php
/**
 * Telling the bridge that something happened, when the request is over.
 *
 * @package Academy_Bridge
 */

namespace Academy_Bridge;

defined( 'ABSPATH' ) || exit;

/**
 * Where PHP can end the answer first, nobody waits. Elsewhere all that is told in a request has 40 ms together; what the
 * bridge has not confirmed by then is left to WP-Cron.
 */
final class Telling {

	const RESTS        = 'academy_bridge_poke_rests';
	const REST_SECONDS = 60;
	const VISITOR_MS   = 40;
	const PATIENT_MS   = 2000;

	/**
	 * How long the request that is being made may take; 0 when none of ours is.
	 *
	 * @var int
	 */
	private static $limit_ms = 0;

	/**
	 * When all has to be told, in seconds since 1970; null before anything is.
	 *
	 * @var float|null
	 */
	private static $ends = null;

	/**
	 * Tell it in the time that is left, at the end of a request; or have WP-Cron tell it, as soon as it runs.
	 *
	 * @param string              $path   Below the bridge's address.
	 * @param string              $type   What kind of token it takes.
	 * @param array<string,mixed> $claims What the token says.
	 * @param string              $hook   What WP-Cron is to do.
	 * @param array<int,mixed>    $args   With what.
	 */
	public static function at_once( string $path, string $type, array $claims, string $hook, array $args ): void {
		$left = self::time_left();
		if ( $left < 5 || get_transient( self::RESTS ) || ! self::tell( $path, $type, $claims, $left ) ) {
			self::later( $hook, $args );
		}
	}

	/**
	 * Tell it when there is time, and say whether the bridge confirmed it.
	 *
	 * @param string              $path     Below the bridge's address.
	 * @param string              $type     What kind of token it takes.
	 * @param array<string,mixed> $claims   What the token says.
	 * @param int                 $limit_ms How long it may take.
	 */
	public static function tell( string $path, string $type, array $claims, int $limit_ms = self::PATIENT_MS ): bool {
		self::$limit_ms = $limit_ms;
		add_action( 'http_api_curl', array( self::class, 'limit' ), 1000 );
		$answer = wp_remote_post(
			Settings::address() . $path,
			array(
				'timeout'     => $limit_ms / 1000,
				'redirection' => 0,
				'headers'     => array( 'Authorization' => 'Bearer ' . Bridge::token( $type, $claims ) ),
			)
		);
		remove_action( 'http_api_curl', array( self::class, 'limit' ), 1000 );
		self::$limit_ms = 0;
		return ! is_wp_error( $answer ) && in_array( wp_remote_retrieve_response_code( $answer ), array( 200, 202 ), true );
	}

	/**
	 * Hold our own request to its time. WordPress rounds time-outs up to a whole second, and waits for the connection
	 * even where it was told not to wait.
	 *
	 * @param resource|\CurlHandle $handle The request.
	 */
	public static function limit( $handle ): void {
		if ( self::$limit_ms > 0 ) {
			// phpcs:disable WordPress.WP.AlternativeFunctions.curl_curl_setopt -- The hook is there for this.
			curl_setopt( $handle, CURLOPT_NOSIGNAL, true );
			curl_setopt( $handle, CURLOPT_CONNECTTIMEOUT_MS, self::$limit_ms );
			curl_setopt( $handle, CURLOPT_TIMEOUT_MS, self::$limit_ms );
			// phpcs:enable
		}
	}

	/**
	 * Milliseconds that are left for telling. To ask for the first time ends the answer, if that can be done.
	 */
	private static function time_left(): int {
		if ( null === self::$ends ) {
			self::$ends = ( self::let_the_visitor_go() ? self::PATIENT_MS : self::VISITOR_MS ) / 1000 + microtime( true );
		}
		return (int) ( ( self::$ends - microtime( true ) ) * 1000 );
	}

	/**
	 * The bridge did not confirm in time: it is left alone for a minute, and told by WP-Cron.
	 *
	 * @param string           $hook What WP-Cron is to do.
	 * @param array<int,mixed> $args With what.
	 */
	private static function later( string $hook, array $args ): void {
		if ( ! get_transient( self::RESTS ) ) {
			set_transient( self::RESTS, 1, self::REST_SECONDS );
		}
		if ( ! wp_doing_cron() ) {
			wp_schedule_single_event( time(), $hook, $args );
		}
	}

	/**
	 * End the answer, if that can be done; and say whether nobody waits any more.
	 */
	private static function let_the_visitor_go(): bool {
		if ( wp_doing_cron() || ( defined( 'WP_CLI' ) && WP_CLI ) ) {
			return true;
		}
		foreach ( array( 'fastcgi_finish_request', 'litespeed_finish_request' ) as $finish ) {
			if ( function_exists( $finish ) ) {
				if ( PHP_SESSION_ACTIVE === session_status() ) {
					session_write_close(); // Or the visitor's next click would wait for this request.
				}
				$finish();
				return true;
			}
		}
		return false;
	}
}
