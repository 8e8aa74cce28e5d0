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
 */
final class Poke {

	const CRON             = 'academy_bridge_poke';
	const PATH             = '/api/v1/pokes';
	const MOST_PER_REQUEST = 20;

	/**
	 * The orders to tell of, as keys.
	 *
	 * @var array<int,bool>
	 */
	private static $orders = array();

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
		if ( ! Settings::shows( 'poke' ) ) {
			return;
		}
		foreach ( $orders as $order_id ) {
			Telling::at_once( self::PATH, 'poke', array( 'order' => $order_id ), self::CRON, array( $order_id ) );
		}
	}

	/**
	 * WP-Cron's turn: there is time. If this fails too, the shop's webhook tells it.
	 *
	 * @param int $order_id The order.
	 */
	public static function by_cron( $order_id ): void {
		if ( Settings::shows( 'poke' ) && (int) $order_id > 0 ) {
			Telling::tell( self::PATH, 'poke', array( 'order' => (int) $order_id ) );
		}
	}
}
