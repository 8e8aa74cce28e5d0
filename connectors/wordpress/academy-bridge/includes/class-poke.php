<?php
/**
 * Telling the bridge to look at an order, at once.
 *
 * @package Academy_Bridge
 */

namespace Academy_Bridge;

use WC_Order;

defined( 'ABSPATH' ) || exit;

/**
 * A poke says "look at order 12" and nothing else: the bridge then asks the shop itself. The shop's webhooks say the
 * same a minute later, so a poke that gets lost costs time and nothing more.
 *
 * It is sent when the request is over. Where PHP can end the answer before that, the shopper waits for nothing.
 * Elsewhere all pokes of a request have 40 ms together; what is not confirmed by then is left to WP-Cron.
 */
final class Poke {

	const CRON             = 'academy_bridge_poke';
	const RESTS            = 'academy_bridge_poke_rests';
	const REST_SECONDS     = 60;
	const SHOPPER_MS       = 40;
	const PATIENT_MS       = 2000;
	const MOST_PER_REQUEST = 20;

	/**
	 * The orders to tell of, as keys.
	 *
	 * @var array<int,bool>
	 */
	private static $orders = array();

	/**
	 * How long the request that is being made may take; 0 when none of ours is.
	 *
	 * @var int
	 */
	private static $limit_ms = 0;

	/**
	 * Hook in.
	 */
	public static function register(): void {
		add_action( 'woocommerce_order_status_changed', array( self::class, 'status_changed' ), 10, 3 );
		foreach ( array( 'woocommerce_payment_complete', 'woocommerce_order_refunded', 'woocommerce_trash_order', 'woocommerce_untrash_order', 'woocommerce_delete_order', 'woocommerce_saved_order_items' ) as $hook ) {
			add_action( $hook, array( self::class, 'note' ) );
		}
		add_action( 'woocommerce_new_order', array( self::class, 'new_order' ), 10, 2 );
		add_action( 'woocommerce_refund_deleted', array( self::class, 'refund_deleted' ), 10, 2 );
		add_action( 'woocommerce_subscription_status_updated', array( self::class, 'subscription' ) );
		add_action( self::CRON, array( self::class, 'by_cron' ) );
		add_action( 'shutdown', array( self::class, 'send' ), 1000 );
	}

	/**
	 * Note that an order is to be looked at.
	 *
	 * @param int $order_id The order.
	 */
	public static function note( $order_id ): void {
		if ( is_numeric( $order_id ) && (int) $order_id > 0 ) {
			self::$orders[ (int) $order_id ] = true;
		}
	}

	/**
	 * An order's status changed. Nothing is owed for one that is not placed yet.
	 *
	 * @param int    $order_id The order.
	 * @param string $from     The old status.
	 * @param string $to       The new one.
	 */
	public static function status_changed( $order_id, $from, $to ): void {
		if ( 'checkout-draft' !== $to && ! ( 'checkout-draft' === $from && 'pending' === $to ) ) {
			self::note( $order_id );
		}
	}

	/**
	 * An order was made with its status, which tells of no change: by hand, by REST.
	 *
	 * @param int           $order_id The order.
	 * @param WC_Order|null $order    The same.
	 */
	public static function new_order( $order_id, $order = null ): void {
		if ( $order instanceof WC_Order && $order->is_paid() ) {
			self::note( $order_id );
		}
	}

	/**
	 * A refund was taken back.
	 *
	 * @param int $refund_id The refund.
	 * @param int $order_id  Its order.
	 */
	public static function refund_deleted( $refund_id, $order_id ): void {
		self::note( $order_id );
	}

	/**
	 * A subscription's status changed: the order it began with is looked at, and its subscriptions with it.
	 *
	 * @param object $subscription The subscription.
	 */
	public static function subscription( $subscription ): void {
		if ( is_object( $subscription ) && method_exists( $subscription, 'get_parent_id' ) ) {
			self::note( $subscription->get_parent_id() );
		}
	}

	/**
	 * The request is over: tell the bridge. Whatever goes wrong here, nobody sees it.
	 */
	public static function send(): void {
		$orders       = array_slice( array_keys( self::$orders ), 0, self::MOST_PER_REQUEST );
		self::$orders = array();
		if ( ! $orders || ! Settings::shows( 'poke' ) ) {
			return;
		}
		$patient = self::let_the_shopper_go();
		$ends    = microtime( true ) + ( $patient ? self::PATIENT_MS : self::SHOPPER_MS ) / 1000;
		foreach ( $orders as $order_id ) {
			$left = (int) ( ( $ends - microtime( true ) ) * 1000 );
			if ( $left < 5 || get_transient( self::RESTS ) || ! self::tell( $order_id, $left ) ) {
				self::later( $order_id );
			}
		}
	}

	/**
	 * WP-Cron's turn: there is time. If this fails too, the shop's webhook tells it.
	 *
	 * @param int $order_id The order.
	 */
	public static function by_cron( $order_id ): void {
		if ( Settings::shows( 'poke' ) && (int) $order_id > 0 ) {
			self::tell( (int) $order_id, self::PATIENT_MS );
		}
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
	 * Tell of one order, and say whether the bridge confirmed it.
	 *
	 * @param int $order_id The order.
	 * @param int $limit_ms How long it may take.
	 */
	private static function tell( int $order_id, int $limit_ms ): bool {
		self::$limit_ms = $limit_ms;
		add_action( 'http_api_curl', array( self::class, 'limit' ), 1000 );
		$answer = wp_remote_post(
			Settings::address() . '/api/v1/pokes',
			array(
				'timeout'     => $limit_ms / 1000,
				'redirection' => 0,
				'headers'     => array( 'Authorization' => 'Bearer ' . Bridge::token( 'poke', array( 'order' => $order_id ) ) ),
			)
		);
		remove_action( 'http_api_curl', array( self::class, 'limit' ), 1000 );
		self::$limit_ms = 0;
		return ! is_wp_error( $answer ) && 202 === wp_remote_retrieve_response_code( $answer );
	}

	/**
	 * The bridge did not confirm in time: it is left alone for a minute, and told by WP-Cron.
	 *
	 * @param int $order_id The order.
	 */
	private static function later( int $order_id ): void {
		if ( ! get_transient( self::RESTS ) ) {
			set_transient( self::RESTS, 1, self::REST_SECONDS );
		}
		if ( ! wp_doing_cron() ) {
			wp_schedule_single_event( time(), self::CRON, array( $order_id ) );
		}
	}

	/**
	 * End the answer, if that can be done; and say whether nobody waits any more.
	 */
	private static function let_the_shopper_go(): bool {
		if ( wp_doing_cron() || ( defined( 'WP_CLI' ) && WP_CLI ) ) {
			return true;
		}
		foreach ( array( 'fastcgi_finish_request', 'litespeed_finish_request' ) as $finish ) {
			if ( function_exists( $finish ) ) {
				if ( PHP_SESSION_ACTIVE === session_status() ) {
					session_write_close(); // Or the shopper's next click would wait for this request.
				}
				$finish();
				return true;
			}
		}
		return false;
	}
}
